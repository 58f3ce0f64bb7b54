package spec

import (
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Bounds of the kernel's CPU controller.
const (
	minShares       = 2
	maxShares       = 262144
	sharesPerCPU    = 1024
	minQuota        = 1000
	defaultPeriod   = 100000
	guaranteedScore = -997
	bestEffortScore = 1000
)

// Shares turns thousandths of a CPU into cpu.shares.
func Shares(milliCPU int64) int64 {
	shares := milliCPU * sharesPerCPU / 1000
	return min(max(shares, minShares), maxShares)
}

// Quota turns thousandths of a CPU into microseconds per period; 0 means no limit.
func Quota(milliCPU, period int64) int64 {
	if milliCPU == 0 {
		return 0
	}
	return max(milliCPU*period/1000, minQuota)
}

// Resources returns the limits that the runtime sets on a container.
func Resources(pod *v1.Pod, c *v1.Container, node *Node) *runtimeapi.LinuxContainerResources {
	r := cpuAndMemory(c.Resources, node)
	if c.Resources.Limits.Cpu().IsZero() && pod.Spec.Resources != nil {
		// What the container does not limit, its pod's cgroup does; the runtime
		// must still not let it have more.
		r.CpuQuota = quotaOf(pod.Spec.Resources.Limits, node)
	}
	if r.MemoryLimitInBytes == 0 && pod.Spec.Resources != nil {
		r.MemoryLimitInBytes = pod.Spec.Resources.Limits.Memory().Value()
	}
	r.OomScoreAdj = OOMScore(pod, c, node)
	r.HugepageLimits = hugePages(c, node)
	if node.SwapAccounting {
		// Memory and swap together limited to the memory: no swap.
		r.MemorySwapLimitInBytes = r.MemoryLimitInBytes
	}
	if node.CgroupV2 && !node.SingleProcessOOMKill {
		r.Unified = map[string]string{"memory.oom.group": "1"}
	}
	return r
}

func cpuAndMemory(res v1.ResourceRequirements, node *Node) *runtimeapi.LinuxContainerResources {
	request := res.Requests.Cpu()
	if request.IsZero() {
		request = res.Limits.Cpu()
	}
	return &runtimeapi.LinuxContainerResources{
		CpuShares:          Shares(request.MilliValue()),
		CpuPeriod:          period(node),
		CpuQuota:           quotaOf(res.Limits, node),
		MemoryLimitInBytes: res.Limits.Memory().Value(),
	}
}

func period(node *Node) int64 {
	if node.CFSPeriod == 0 {
		return defaultPeriod
	}
	return node.CFSPeriod
}

func quotaOf(limits v1.ResourceList, node *Node) int64 {
	if !node.CFSQuota {
		return 0
	}
	return Quota(limits.Cpu().MilliValue(), period(node))
}

// hugePages limits every page size that the machine has; a size that the
// container does not ask for it may not use.
func hugePages(c *v1.Container, node *Node) []*runtimeapi.HugepageLimit {
	var limits []*runtimeapi.HugepageLimit
	for _, size := range node.HugePageSizes {
		q := quantity(c.Resources.Limits, v1.ResourceName(v1.ResourceHugePagesPrefix+size))
		limits = append(limits, &runtimeapi.HugepageLimit{
			PageSize: strings.TrimSuffix(size, "i") + "B", // "2Mi" is 2MB to cgroups
			Limit:    uint64(q.Value()),
		})
	}
	return limits
}

// OOMScore returns the container's oom_score_adj: never first for Guaranteed and
// critical pods, always first for BestEffort ones, and in between the less the
// more memory the container requests.
func OOMScore(pod *v1.Pod, c *v1.Container, node *Node) int64 {
	if Critical(pod) {
		return guaranteedScore
	}
	switch QOS(pod) {
	case v1.PodQOSGuaranteed:
		return guaranteedScore
	case v1.PodQOSBestEffort:
		return bestEffortScore
	}
	score := burstableScore(memoryRequest(pod, c), node.MemoryCapacity)
	if _, kind := Find(pod, c.Name); kind == Init && Sidecar(c) {
		// A sidecar must not die before what it serves.
		for i := range pod.Spec.Containers {
			score = min(score, burstableScore(memoryRequest(pod, &pod.Spec.Containers[i]), node.MemoryCapacity))
		}
	}
	return score
}

// memoryRequest is the container's own; with pod-level requests also its share
// of what the pod requests beyond its containers'.
func memoryRequest(pod *v1.Pod, c *v1.Container) int64 {
	own := c.Resources.Requests.Memory().Value()
	if pod.Spec.Resources == nil {
		return own
	}
	extra := pod.Spec.Resources.Requests.Memory().Value()
	for i := range pod.Spec.Containers {
		extra -= pod.Spec.Containers[i].Resources.Requests.Memory().Value()
	}
	if extra <= 0 || len(pod.Spec.Containers) == 0 {
		return own
	}
	return own + extra/int64(len(pod.Spec.Containers))
}

func burstableScore(request, capacity int64) int64 {
	if capacity <= 0 {
		return bestEffortScore - 1
	}
	score := bestEffortScore - bestEffortScore*request/capacity
	return min(max(score, bestEffortScore+guaranteedScore), bestEffortScore-1)
}

// PodResources returns the limits of the whole pod, for the sandbox.
func PodResources(pod *v1.Pod, node *Node) (resources, overhead *runtimeapi.LinuxContainerResources) {
	bare := *pod
	bare.Spec.Overhead = nil
	resources = cpuAndMemory(v1.ResourceRequirements{Requests: Requests(&bare), Limits: wholeLimits(&bare)}, node)
	overhead = &runtimeapi.LinuxContainerResources{}
	if pod.Spec.Overhead != nil {
		overhead = cpuAndMemory(v1.ResourceRequirements{Requests: pod.Spec.Overhead, Limits: pod.Spec.Overhead}, node)
	}
	return resources, overhead
}

// wholeLimits are the pod's limits of those resources that all its containers
// limit: with one that does not, the pod as a whole is unlimited.
func wholeLimits(pod *v1.Pod) v1.ResourceList {
	limits := Limits(pod)
	for _, name := range []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory} {
		if pod.Spec.Resources != nil && !quantity(pod.Spec.Resources.Limits, name).IsZero() {
			continue
		}
		for i := range pod.Spec.Containers {
			if quantity(pod.Spec.Containers[i].Resources.Limits, name).IsZero() {
				delete(limits, name)
			}
		}
	}
	return limits
}

// HugePageSize turns a folder name of /sys/kernel/mm/hugepages ("hugepages-2048kB")
// into the size of resource names ("2Mi"); empty if it is none.
func HugePageSize(folder string) string {
	number, ok := strings.CutPrefix(folder, "hugepages-")
	if !ok {
		return ""
	}
	kb, err := strconv.ParseInt(strings.TrimSuffix(number, "kB"), 10, 64)
	if err != nil {
		return ""
	}
	if kb >= 1<<20 {
		return strconv.FormatInt(kb>>20, 10) + "Gi"
	}
	return strconv.FormatInt(kb>>10, 10) + "Mi"
}
