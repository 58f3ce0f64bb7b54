// Package stats measures the node and its Pods for /stats/summary, from the container runtime's statistics, the cgroup tree and the volumes. Nothing is
// measured until someone asks.
package stats

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/septet-io/septet/kubelet/cgroup"
	"github.com/septet-io/septet/kubelet/volume"
)

// Runtime is what is asked of the container runtime.
type Runtime interface {
	ListPodSandboxStats(ctx context.Context, filter *runtimeapi.PodSandboxStatsFilter) ([]*runtimeapi.PodSandboxStats, error)
	ImageFsInfo(ctx context.Context) (*runtimeapi.ImageFsInfoResponse, error)
}

// Meter measures. All fields are required.
type Meter struct {
	NodeName string
	Runtime  Runtime
	Cgroups  *cgroup.Tree
	Volumes  *volume.Volumes
	// Pods returns the Pods of this node with their status.
	Pods func() []*corev1.Pod
	// RootDir is where volumes lie: its file system is the node's. LogDir is where containers' logs lie, /var/log/pods upstream.
	RootDir, LogDir string
	// Started is when the node agent began.
	Started time.Time

	rates rates
}

// Summary measures everything, or only processors and memory, which is quick.
func (m *Meter) Summary(ctx context.Context, onlyCPUAndMemory bool) (*statsapi.Summary, error) {
	node, err := m.node(ctx, onlyCPUAndMemory)
	if err != nil {
		return nil, err
	}
	sandboxes, err := m.Runtime.ListPodSandboxStats(ctx, nil)
	if err != nil {
		return nil, err
	}
	byUID := map[string]*runtimeapi.PodSandboxStats{}
	for _, sandbox := range sandboxes {
		uid := sandbox.GetAttributes().GetMetadata().GetUid()
		// Of several sandboxes of a Pod, one runs: the latest attempt.
		if have := byUID[uid]; have == nil || have.GetAttributes().GetMetadata().GetAttempt() < sandbox.GetAttributes().GetMetadata().GetAttempt() {
			byUID[uid] = sandbox
		}
	}
	summary := &statsapi.Summary{Node: node, Pods: []statsapi.PodStats{}}
	for _, pod := range m.Pods() {
		if sandbox := byUID[string(pod.UID)]; sandbox != nil {
			stats, err := m.pod(ctx, pod, sandbox, &node, onlyCPUAndMemory)
			if err != nil {
				return nil, err
			}
			summary.Pods = append(summary.Pods, stats)
		}
	}
	return summary, nil
}

func (m *Meter) cpu(key string, usage cgroup.Usage) *statsapi.CPUStats {
	total := uint64(usage.CPU.Nanoseconds())
	return &statsapi.CPUStats{
		Time: metav1.NewTime(usage.Time), UsageCoreNanoSeconds: &total, UsageNanoCores: m.rates.of(key, usage.Time, total),
	}
}

func memory(usage cgroup.Usage) *statsapi.MemoryStats {
	stats := &statsapi.MemoryStats{
		Time: metav1.NewTime(usage.Time), UsageBytes: &usage.Memory, WorkingSetBytes: &usage.WorkingSet, RSSBytes: &usage.RSS,
		PageFaults: &usage.PageFaults, MajorPageFaults: &usage.MajorPageFaults,
	}
	if usage.Limit > 0 {
		available := uint64(0)
		if usage.Limit > usage.WorkingSet {
			available = usage.Limit - usage.WorkingSet
		}
		stats.AvailableBytes = &available
	}
	return stats
}

func swap(usage cgroup.Usage) *statsapi.SwapStats {
	return &statsapi.SwapStats{Time: metav1.NewTime(usage.Time), SwapUsageBytes: &usage.Swap}
}
