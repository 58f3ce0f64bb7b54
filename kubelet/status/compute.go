// Package status says how a pod is doing: Compute turns what the runtime and the
// probes report into a PodStatus, as pure computation, and Writer brings it to
// the API server.
package status

import (
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/probe"
	"github.com/septet-io/septet/kubelet/spec"
)

// Input is what a status is computed from. Nothing in it is changed.
type Input struct {
	// Pod as the API has it, its resources being those that this node allocated.
	Pod *v1.Pod
	// Runtime is what the container runtime holds of it.
	Runtime *cri.Pod
	// RuntimeName is the scheme of container ids ("containerd").
	RuntimeName string
	// Waiting says, by container, why it could not start or waits to.
	Waiting map[string]v1.ContainerStateWaiting
	// Verdicts are the probes' results by container id.
	Verdicts map[string]probe.Verdict
	// Old is the status as last computed, or as found in the API: times of
	// transition and restart counts go on from there.
	Old *v1.PodStatus
	// HostIPs are the node's addresses.
	HostIPs []string
	Now     metav1.Time
	// Stopped says that nothing of the pod runs, nor will again.
	Stopped bool
	// Phase, when set, is the verdict of this node on a pod that it failed, with
	// its reason and message (evicted, rejected, past its deadline).
	Phase           v1.PodPhase
	Reason, Message string
	// Conditions of this node's making besides those computed here (resize, DisruptionTarget).
	Conditions []v1.PodCondition
	// Drop names conditions of this node's making that are over.
	Drop []v1.PodConditionType
}

// own are the conditions that the kubelet sets in every status; all others in the
// API belong to someone else and are kept.
var own = map[v1.PodConditionType]bool{
	v1.PodReadyToStartContainers: true, v1.PodInitialized: true, v1.PodReady: true,
	v1.ContainersReady: true, v1.PodScheduled: true,
}

// Compute returns the pod's status.
func Compute(in Input) *v1.PodStatus {
	pod := in.Pod
	s := &v1.PodStatus{
		ObservedGeneration:                   pod.Generation,
		Reason:                               in.Reason,
		Message:                              in.Message,
		QOSClass:                             spec.QOS(pod),
		StartTime:                            in.Old.StartTime,
		NominatedNodeName:                    "",
		ResourceClaimStatuses:                in.Old.ResourceClaimStatuses,
		ExtendedResourceClaimStatus:          in.Old.ExtendedResourceClaimStatus,
		NodeAllocatableResourceClaimStatuses: in.Old.NodeAllocatableResourceClaimStatuses,
	}
	if s.StartTime == nil {
		now := in.Now
		s.StartTime = &now
	}
	addresses(s, &in)
	s.InitContainerStatuses = containerStatuses(&in, spec.Init)
	s.ContainerStatuses = containerStatuses(&in, spec.Regular)
	s.EphemeralContainerStatuses = containerStatuses(&in, spec.Ephemeral)
	if pod.Spec.Resources != nil {
		s.AllocatedResources = pod.Spec.Resources.Requests.DeepCopy()
		s.Resources = pod.Spec.Resources.DeepCopy()
	}
	s.Phase = in.Phase
	if s.Phase == "" {
		s.Phase = phase(pod, s, in.Stopped)
	}
	if old := in.Old.Phase; old == v1.PodFailed || old == v1.PodSucceeded {
		// A phase that is final stays.
		s.Phase = old
		s.Reason, s.Message = in.Old.Reason, in.Old.Message
	}
	s.Conditions = conditions(&in, s)
	return s
}

func addresses(s *v1.PodStatus, in *Input) {
	for _, ip := range in.HostIPs {
		s.HostIPs = append(s.HostIPs, v1.HostIP{IP: ip})
	}
	if len(in.HostIPs) > 0 {
		s.HostIP = in.HostIPs[0]
	}
	ips := PodIPs(in.Pod, in.Runtime, in.HostIPs)
	if len(ips) == 0 {
		// The sandbox may be gone already; the addresses it had are still of use.
		s.PodIP, s.PodIPs = in.Old.PodIP, in.Old.PodIPs
		return
	}
	s.PodIP = ips[0]
	for _, ip := range ips {
		s.PodIPs = append(s.PodIPs, v1.PodIP{IP: ip})
	}
}

// PodIPs returns the pod's addresses, of the family of the node's primary one
// first: its sandbox's, or the node's for a pod on the node's network.
func PodIPs(pod *v1.Pod, runtime *cri.Pod, hostIPs []string) []string {
	if pod.Spec.HostNetwork {
		return hostIPs
	}
	sandbox := runtime.Sandbox()
	if sandbox == nil || !sandbox.Ready {
		return nil
	}
	ips := append([]string(nil), sandbox.IPs...)
	if len(hostIPs) > 0 {
		six := strings.Contains(hostIPs[0], ":")
		sort.SliceStable(ips, func(i, j int) bool {
			return strings.Contains(ips[i], ":") == six && strings.Contains(ips[j], ":") != six
		})
	}
	return ips
}
