// Package admit is the node's last word on the pods that are bound to it: whether
// they fit and may run here (Check), and which resources they have been given
// (Book), also while they ask for others.
package admit

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/kubelet/spec"
)

// Rejection is why a pod may not run here: the reason and message of its status.
type Rejection struct{ Reason, Message string }

// Snapshot is all that an admission may read.
type Snapshot struct {
	// Node as last seen in the API, or as this node would register.
	Node        *v1.Node
	Allocatable v1.ResourceList
	// Others are the pods that have been admitted and are not over, with the
	// resources that they were given.
	Others []*v1.Pod
	// Under says which pressure conditions the node is under.
	Under map[v1.NodeConditionType]bool
	// UnsafeSysctls are allowed besides the safe ones.
	UnsafeSysctls []string
}

// checks in the order in which a pod has to pass them.
var checks = []func(*v1.Pod, *Snapshot) *Rejection{
	pressure, system, sysctls, claims, fits, affinity, ports, taints,
}

// Check returns why the pod may not run here, nil if it may.
func Check(pod *v1.Pod, s *Snapshot) *Rejection {
	for _, check := range checks {
		if r := check(pod, s); r != nil {
			return r
		}
	}
	return nil
}

// pressure keeps pods away from a node that is short of something; memory is still
// given to those that asked for some.
func pressure(pod *v1.Pod, s *Snapshot) *Rejection {
	var under []string
	for _, t := range []v1.NodeConditionType{v1.NodeMemoryPressure, v1.NodeDiskPressure, v1.NodePIDPressure} {
		if s.Under[t] {
			under = append(under, string(t))
		}
	}
	if len(under) == 0 || spec.Critical(pod) {
		return nil
	}
	if len(under) == 1 && under[0] == string(v1.NodeMemoryPressure) {
		if spec.QOS(pod) != v1.PodQOSBestEffort || tolerates(pod, &v1.Taint{Key: v1.TaintNodeMemoryPressure, Effect: v1.TaintEffectNoSchedule}) {
			return nil
		}
	}
	return &Rejection{"Evicted", fmt.Sprintf("The node had condition: [%s]. ", strings.Join(under, " "))}
}

// system refuses pods for other operating systems.
func system(pod *v1.Pod, s *Snapshot) *Rejection {
	if want, ok := pod.Spec.NodeSelector[v1.LabelOSStable]; ok && want != "linux" {
		return &Rejection{"PodOSSelectorNodeLabelDoesNotMatch", "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"}
	}
	if pod.Spec.OS != nil && pod.Spec.OS.Name != v1.Linux {
		return &Rejection{"PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"}
	}
	return nil
}

func sysctls(pod *v1.Pod, s *Snapshot) *Rejection {
	if err := spec.CheckSysctls(pod, s.UnsafeSysctls); err != nil {
		return &Rejection{"SysctlForbidden", err.Error()}
	}
	return nil
}

// claims: this node prepares no devices for resource claims, and a pod that asks
// for some must not run without them.
func claims(pod *v1.Pod, s *Snapshot) *Rejection {
	if len(pod.Spec.ResourceClaims) == 0 {
		return nil
	}
	return &Rejection{"UnexpectedAdmissionError", "Allocate failed due to dynamic resource allocation not being supported by this kubelet, which is unexpected"}
}

// fits: the pod's requests and those of the pods that are here do not exceed what
// the node has to give.
func fits(pod *v1.Pod, s *Snapshot) *Rejection {
	if short := Short(pod, s.Others, s.Allocatable); short != nil {
		return &Rejection{"OutOf" + string(short.Resource), short.Error()}
	}
	return nil
}

// Shortage is a resource of which there is not enough. CPU is in thousandths.
type Shortage struct {
	Resource                  v1.ResourceName
	Requested, Used, Capacity int64
}

func (s *Shortage) Error() string {
	return fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", s.Resource, s.Requested, s.Used, s.Capacity)
}

// Short returns the first resource of which there is not enough for pod besides
// others; nil if there is enough of all.
func Short(pod *v1.Pod, others []*v1.Pod, allocatable v1.ResourceList) *Shortage {
	count := int64(len(others))
	if limit := allocatable.Pods().Value(); count+1 > limit {
		return &Shortage{v1.ResourcePods, 1, count, limit}
	}
	used := map[v1.ResourceName]int64{}
	for _, other := range others {
		for name, q := range spec.Requests(other) {
			used[name] += amount(name, q.MilliValue(), q.Value())
		}
	}
	requests := spec.Requests(pod)
	for _, name := range ordered(requests) {
		q := requests[name]
		wanted := amount(name, q.MilliValue(), q.Value())
		if wanted == 0 {
			continue
		}
		have, known := allocatable[name]
		if !known && !native(name) {
			continue // a resource of the cluster, not of its nodes, which the scheduler counts; or none of a static pod's concern
		}
		capacity := amount(name, have.MilliValue(), have.Value())
		if used[name]+wanted > capacity {
			return &Shortage{name, wanted, used[name], capacity}
		}
	}
	return nil
}

// ordered returns the names with those first that users know best.
func ordered(list v1.ResourceList) []v1.ResourceName {
	names := []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage}
	for name := range list {
		if !native(name) {
			names = append(names, name)
		}
	}
	return names
}

func native(name v1.ResourceName) bool {
	return name == v1.ResourceCPU || name == v1.ResourceMemory || name == v1.ResourceEphemeralStorage
}

func amount(name v1.ResourceName, milli, whole int64) int64 {
	if name == v1.ResourceCPU {
		return milli
	}
	return whole
}

// ports: no other pod has one of the pod's host ports.
func ports(pod *v1.Pod, s *Snapshot) *Rejection {
	wanted := hostPorts(pod)
	if len(wanted) == 0 {
		return nil
	}
	for _, other := range s.Others {
		for _, have := range hostPorts(other) {
			for _, want := range wanted {
				if have.port == want.port && have.protocol == want.protocol && (have.ip == want.ip || have.any() || want.any()) {
					return failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
				}
			}
		}
	}
	return nil
}

type hostPort struct {
	ip       string
	protocol v1.Protocol
	port     int32
}

func (p hostPort) any() bool { return p.ip == "" || p.ip == "0.0.0.0" || p.ip == "::" }

func hostPorts(pod *v1.Pod) []hostPort {
	var out []hostPort
	spec.EachContainer(pod, func(c *v1.Container, kind spec.Kind) {
		if kind == spec.Ephemeral || kind == spec.Init && !spec.Sidecar(c) {
			return
		}
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				out = append(out, hostPort{p.HostIP, p.Protocol, p.HostPort})
			}
		}
	})
	return out
}

// taints: a static pod must tolerate the node's NoExecute taints; others the taint
// controller sees to.
func taints(pod *v1.Pod, s *Snapshot) *Rejection {
	if s.Node == nil || !spec.Static(pod) {
		return nil
	}
	for i := range s.Node.Spec.Taints {
		t := &s.Node.Spec.Taints[i]
		if t.Effect == v1.TaintEffectNoExecute && !tolerates(pod, t) {
			return failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")
		}
	}
	return nil
}

func tolerates(pod *v1.Pod, t *v1.Taint) bool {
	for i := range pod.Spec.Tolerations {
		tol := &pod.Spec.Tolerations[i]
		if (tol.Effect == "" || tol.Effect == t.Effect) && (tol.Key == "" && tol.Operator == v1.TolerationOpExists || tol.Key == t.Key) &&
			(tol.Operator == v1.TolerationOpExists || tol.Value == t.Value) {
			return true
		}
	}
	return false
}

func failed(predicate, why string) *Rejection {
	return &Rejection{predicate, fmt.Sprintf("Predicate %s failed: %s", predicate, why)}
}
