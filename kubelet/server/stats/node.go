package stats

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

func (m *Meter) node(ctx context.Context, onlyCPUAndMemory bool) (statsapi.NodeStats, error) {
	usage, err := m.Cgroups.Usage("/")
	if err != nil {
		return statsapi.NodeStats{}, fmt.Errorf("use of the machine: %w", err)
	}
	stats := statsapi.NodeStats{
		NodeName: m.NodeName, StartTime: metav1.NewTime(m.Started),
		CPU: m.cpu("node", usage), Memory: memory(usage), Swap: swap(usage),
	}
	if pods, err := m.Cgroups.Usage(m.Cgroups.Root()); err == nil {
		stats.SystemContainers = []statsapi.ContainerStats{{
			Name: statsapi.SystemContainerPods, StartTime: stats.StartTime, CPU: m.cpu("pods", pods), Memory: memory(pods), Swap: swap(pods),
		}}
	}
	if onlyCPUAndMemory {
		return stats, nil
	}
	if stats.Fs, err = filesystem(m.RootDir); err != nil {
		return stats, err
	}
	if stats.Runtime, err = m.runtime(ctx); err != nil {
		return stats, err
	}
	if stats.Rlimit, err = processes(); err != nil {
		return stats, err
	}
	stats.Network, err = network()
	return stats, err
}

// filesystem measures the whole file system that a directory is on.
func filesystem(dir string) (*statsapi.FsStats, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return nil, fmt.Errorf("file system of %s: %w", dir, err)
	}
	block := uint64(stat.Bsize)
	available, capacity, used := stat.Bavail*block, stat.Blocks*block, (stat.Blocks-stat.Bfree)*block
	inodes, free, inUse := stat.Files, stat.Ffree, stat.Files-stat.Ffree
	return &statsapi.FsStats{
		Time: metav1.Now(), AvailableBytes: &available, CapacityBytes: &capacity, UsedBytes: &used,
		Inodes: &inodes, InodesFree: &free, InodesUsed: &inUse,
	}, nil
}

func (m *Meter) runtime(ctx context.Context) (*statsapi.RuntimeStats, error) {
	info, err := m.Runtime.ImageFsInfo(ctx)
	if err != nil {
		return nil, fmt.Errorf("image file system: %w", err)
	}
	images, err := used(info.GetImageFilesystems())
	if err != nil {
		return nil, err
	}
	containers, err := used(info.GetContainerFilesystems())
	if containers == nil {
		containers = images
	}
	return &statsapi.RuntimeStats{ImageFs: images, ContainerFs: containers}, err
}

// used is the file system that the runtime names, with what the runtime itself takes up on it. A runtime in another mount namespace may name what
// is not there for us; the answer is then nil.
func used(list []*runtimeapi.FilesystemUsage) (*statsapi.FsStats, error) {
	if len(list) == 0 {
		return nil, nil
	}
	stats, err := filesystem(list[0].GetFsId().GetMountpoint())
	if err != nil {
		if _, statErr := os.Stat(list[0].GetFsId().GetMountpoint()); os.IsNotExist(statErr) {
			return nil, nil
		}
		return nil, err
	}
	if bytes := list[0].GetUsedBytes(); bytes != nil {
		stats.UsedBytes = &bytes.Value
	}
	if inodes := list[0].GetInodesUsed(); inodes != nil {
		stats.InodesUsed = &inodes.Value
	}
	return stats, nil
}

// processes reads how many there are (threads count) and how many there may be.
func processes() (*statsapi.RlimitStats, error) {
	limit, err := readInt("/proc/sys/kernel/pid_max")
	if err != nil {
		return nil, err
	}
	if threads, err := readInt("/proc/sys/kernel/threads-max"); err == nil && threads < limit {
		limit = threads
	}
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(data))
	if len(fields) < 4 {
		return nil, fmt.Errorf("/proc/loadavg has %d fields", len(fields))
	}
	_, total, _ := strings.Cut(fields[3], "/")
	running, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return nil, err
	}
	return &statsapi.RlimitStats{Time: metav1.NewTime(time.Now()), MaxPID: &limit, NumOfRunningProcesses: &running}, nil
}

func readInt(path string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

// network counts the interfaces of this network namespace; the first but loopback is taken for the node's.
func network() (*statsapi.NetworkStats, error) {
	data, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return nil, err
	}
	stats := &statsapi.NetworkStats{Time: metav1.Now()}
	for _, line := range strings.Split(string(data), "\n") {
		name, rest, ok := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		name = strings.TrimSpace(name)
		if !ok || len(fields) < 11 || name == "lo" {
			continue
		}
		var n [4]uint64
		for i, column := range [4]int{0, 2, 8, 10} {
			if n[i], err = strconv.ParseUint(fields[column], 10, 64); err != nil {
				return nil, err
			}
		}
		stats.Interfaces = append(stats.Interfaces, statsapi.InterfaceStats{Name: name, RxBytes: &n[0], RxErrors: &n[1], TxBytes: &n[2], TxErrors: &n[3]})
	}
	if len(stats.Interfaces) > 0 {
		stats.InterfaceStats = stats.Interfaces[0]
	}
	return stats, nil
}
