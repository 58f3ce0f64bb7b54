package cgroup

import (
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Limits are what one group is given. Zero leaves a thing as it is, or unlimited in a new group.
type Limits struct {
	// Shares is the CPU weight in cgroup v1's measure, 1024 for a core.
	Shares int64
	// Quota are the microseconds of CPU time in each Period; -1 is unlimited.
	Quota, Period int64
	// Memory in bytes; -1 is unlimited.
	Memory int64
	// Pids is the greatest number of processes; -1 is unlimited.
	Pids int64
	// HugePages are bytes by page size such as "2MB".
	HugePages map[string]int64
}

const (
	defaultPeriod = 100_000
	// minShares and maxShares are the kernel's bounds, minQuota its least quota.
	minShares = 2
	maxShares = 262_144
	minQuota  = 1000
	perCore   = 1024
	unlimited = -1
)

// Shares turns thousandths of a core into a cgroup v1 weight.
func Shares(milliCPU int64) int64 {
	return min(max(milliCPU*perCore/1000, minShares), maxShares)
}

// Quota turns a limit in thousandths of a core into microseconds a period; unlimited (-1) for none.
func Quota(milliCPU, period int64) int64 {
	if milliCPU <= 0 {
		return unlimited
	}
	return max(milliCPU*period/1000, minQuota)
}

// Weight turns a cgroup v1 weight (2 to 262144) into one of v2 (1 to 10000), such that the defaults 1024 and 100
// correspond: the same curve that runc takes for containers, so that Pods and their containers compare.
func Weight(shares int64) int64 {
	switch {
	case shares <= minShares:
		return 1
	case shares >= maxShares:
		return 10_000
	}
	l := math.Log2(float64(shares))
	return int64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// nodeLimits bound all Pods together.
func nodeLimits(allocatable corev1.ResourceList) Limits {
	var limits Limits
	if cpu, ok := allocatable[corev1.ResourceCPU]; ok {
		limits.Shares = Shares(cpu.MilliValue())
	}
	if memory, ok := allocatable[corev1.ResourceMemory]; ok {
		limits.Memory = memory.Value()
	}
	return limits
}

// podLimits are what a Pod's group is given: its weight is what it requests; a limit holds only where every container has one.
func (t *Tree) podLimits(pod *corev1.Pod) Limits {
	requests, limits := requestsOf(pod), limitsOf(pod)
	wanted := Limits{Shares: minShares, Quota: unlimited, Period: t.config.CPUPeriod, Memory: unlimited, HugePages: hugePages(limits)}
	if t.config.PidsLimit > 0 {
		wanted.Pids = t.config.PidsLimit
	}
	if QOS(pod) == corev1.PodQOSBestEffort {
		return wanted
	}
	cpu := milliCPU(requests)
	if cpu == 0 {
		cpu = milliCPU(limits)
	}
	wanted.Shares = Shares(cpu)
	if limit, ok := limits[corev1.ResourceCPU]; ok && !t.config.NoCPUQuota {
		wanted.Quota = Quota(limit.MilliValue(), t.config.CPUPeriod)
	}
	if limit, ok := limits[corev1.ResourceMemory]; ok {
		wanted.Memory = limit.Value()
	}
	return wanted
}

// hugePages names page sizes as the kernel's files do: 2Mi is "2MB".
func hugePages(limits corev1.ResourceList) map[string]int64 {
	var pages map[string]int64
	for name, quantity := range limits {
		size, is := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix)
		if !is {
			continue
		}
		if parsed, err := resource.ParseQuantity(size); err == nil {
			if pages == nil {
				pages = map[string]int64{}
			}
			pages[pageName(parsed.Value())] = quantity.Value()
		}
	}
	return pages
}

func milliCPU(list corev1.ResourceList) int64 {
	cpu := list[corev1.ResourceCPU]
	return cpu.MilliValue()
}
