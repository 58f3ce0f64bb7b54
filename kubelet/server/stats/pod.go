package stats

import (
	"context"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/septet-io/septet/kubelet/volume"
)

func (m *Meter) pod(ctx context.Context, pod *corev1.Pod, sandbox *runtimeapi.PodSandboxStats, node *statsapi.NodeStats, onlyCPUAndMemory bool) (statsapi.PodStats, error) {
	stats := statsapi.PodStats{
		PodRef:     statsapi.PodReference{Name: pod.Name, Namespace: pod.Namespace, UID: string(pod.UID)},
		Containers: []statsapi.ContainerStats{},
	}
	if pod.Status.StartTime != nil {
		stats.StartTime = *pod.Status.StartTime
	}
	if usage, err := m.Cgroups.Usage(m.Cgroups.Path(pod)); err == nil {
		stats.CPU, stats.Memory, stats.Swap = m.cpu("pod "+string(pod.UID), usage), memory(usage), swap(usage)
		if !onlyCPUAndMemory {
			stats.ProcessStats = &statsapi.ProcessStats{ProcessCount: &usage.Processes}
		}
	} else { // it ends, or its group is not ours: what the runtime knows
		stats.CPU = m.runtimeCPU("pod "+string(pod.UID), sandbox.GetLinux().GetCpu())
		stats.Memory = runtimeMemory(sandbox.GetLinux().GetMemory())
	}
	for _, container := range sandbox.GetLinux().GetContainers() {
		stats.Containers = append(stats.Containers, m.container(pod, container))
	}
	if onlyCPUAndMemory {
		return stats, nil
	}
	stats.Network = podNetwork(sandbox.GetLinux().GetNetwork())
	return stats, m.storage(ctx, pod, sandbox, node, &stats)
}

func (m *Meter) container(pod *corev1.Pod, container *runtimeapi.ContainerStats) statsapi.ContainerStats {
	name := container.GetAttributes().GetMetadata().GetName()
	stats := statsapi.ContainerStats{
		Name: name, StartTime: startOf(pod, name),
		CPU:    m.runtimeCPU("container "+container.GetAttributes().GetId(), container.GetCpu()),
		Memory: runtimeMemory(container.GetMemory()),
	}
	if s := container.GetSwap(); s != nil {
		stats.Swap = &statsapi.SwapStats{Time: at(s.GetTimestamp()), SwapUsageBytes: value(s.GetSwapUsageBytes()), SwapAvailableBytes: value(s.GetSwapAvailableBytes())}
	}
	return stats
}

// startOf is when the container of that name that now runs was started.
func startOf(pod *corev1.Pod, name string) metav1.Time {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == name && list[i].State.Running != nil {
				return list[i].State.Running.StartedAt
			}
		}
	}
	return metav1.Time{}
}

func (m *Meter) runtimeCPU(key string, cpu *runtimeapi.CpuUsage) *statsapi.CPUStats {
	if cpu == nil || cpu.GetUsageCoreNanoSeconds() == nil {
		return nil
	}
	stats := &statsapi.CPUStats{Time: at(cpu.GetTimestamp()), UsageCoreNanoSeconds: value(cpu.GetUsageCoreNanoSeconds()), UsageNanoCores: value(cpu.GetUsageNanoCores())}
	if stats.UsageNanoCores == nil {
		stats.UsageNanoCores = m.rates.of(key, stats.Time.Time, *stats.UsageCoreNanoSeconds)
	}
	return stats
}

func runtimeMemory(memory *runtimeapi.MemoryUsage) *statsapi.MemoryStats {
	if memory == nil {
		return nil
	}
	return &statsapi.MemoryStats{
		Time: at(memory.GetTimestamp()), AvailableBytes: value(memory.GetAvailableBytes()), UsageBytes: value(memory.GetUsageBytes()),
		WorkingSetBytes: value(memory.GetWorkingSetBytes()), RSSBytes: value(memory.GetRssBytes()),
		PageFaults: value(memory.GetPageFaults()), MajorPageFaults: value(memory.GetMajorPageFaults()),
	}
}

func podNetwork(network *runtimeapi.NetworkUsage) *statsapi.NetworkStats {
	if network == nil {
		return nil
	}
	stats := &statsapi.NetworkStats{Time: at(network.GetTimestamp())}
	if network.GetDefaultInterface() != nil {
		stats.InterfaceStats = card(network.GetDefaultInterface())
		stats.Interfaces = append(stats.Interfaces, stats.InterfaceStats)
	}
	for _, other := range network.GetInterfaces() {
		stats.Interfaces = append(stats.Interfaces, card(other))
	}
	return stats
}

func card(from *runtimeapi.NetworkInterfaceUsage) statsapi.InterfaceStats {
	return statsapi.InterfaceStats{
		Name: from.GetName(), RxBytes: value(from.GetRxBytes()), RxErrors: value(from.GetRxErrors()),
		TxBytes: value(from.GetTxBytes()), TxErrors: value(from.GetTxErrors()),
	}
}

// storage adds what the Pod's containers, logs and volumes take up on the disk.
func (m *Meter) storage(ctx context.Context, pod *corev1.Pod, sandbox *runtimeapi.PodSandboxStats, node *statsapi.NodeStats, stats *statsapi.PodStats) error {
	var bytes, inodes uint64
	layers := map[string]*runtimeapi.FilesystemUsage{}
	for _, container := range sandbox.GetLinux().GetContainers() {
		layers[container.GetAttributes().GetMetadata().GetName()] = container.GetWritableLayer()
	}
	logs := filepath.Join(m.LogDir, pod.Namespace+"_"+pod.Name+"_"+string(pod.UID))
	for i := range stats.Containers {
		container := &stats.Containers[i]
		used, files, err := volume.Tree(filepath.Join(logs, container.Name))
		if err != nil {
			return err
		}
		container.Logs = share(node.Fs, used, files)
		bytes, inodes = bytes+used, inodes+files
		if layer := layers[container.Name]; layer != nil {
			container.Rootfs = share(containerFs(node), layer.GetUsedBytes().GetValue(), layer.GetInodesUsed().GetValue())
			bytes, inodes = bytes+layer.GetUsedBytes().GetValue(), inodes+layer.GetInodesUsed().GetValue()
		}
	}
	volumes, err := m.Volumes.Usage(ctx, pod.UID)
	if err != nil {
		return err
	}
	for i := range volumes {
		u := &volumes[i]
		entry := statsapi.VolumeStats{Name: u.Volume, FsStats: statsapi.FsStats{
			Time: metav1.Now(), AvailableBytes: &u.Available, CapacityBytes: &u.Capacity, UsedBytes: &u.Used,
			Inodes: &u.Inodes, InodesFree: &u.InodesFree, InodesUsed: &u.InodesUsed,
		}}
		if u.Claim != "" {
			entry.PVCRef = &statsapi.PVCReference{Name: u.Claim, Namespace: pod.Namespace}
		}
		stats.VolumeStats = append(stats.VolumeStats, entry)
		if u.Local {
			bytes, inodes = bytes+u.Used, inodes+u.InodesUsed
		}
	}
	stats.EphemeralStorage = share(node.Fs, bytes, inodes)
	return nil
}

func containerFs(node *statsapi.NodeStats) *statsapi.FsStats {
	if node.Runtime == nil || node.Runtime.ContainerFs == nil {
		return node.Fs
	}
	return node.Runtime.ContainerFs
}

// share is a part of a file system: its limits are the whole's, its use is its own.
func share(whole *statsapi.FsStats, bytes, inodes uint64) *statsapi.FsStats {
	stats := *whole
	stats.UsedBytes, stats.InodesUsed = &bytes, &inodes
	return &stats
}

func value(v *runtimeapi.UInt64Value) *uint64 {
	if v == nil {
		return nil
	}
	n := v.GetValue()
	return &n
}

func at(nanoseconds int64) metav1.Time { return metav1.NewTime(time.Unix(0, nanoseconds)) }
