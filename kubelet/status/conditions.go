package status

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/kubelet/spec"
)

// conditions returns the pod's conditions: this node's, then those that others set.
func conditions(in *Input, s *v1.PodStatus) []v1.PodCondition {
	containers := containersReady(in.Pod, s)
	computed := []v1.PodCondition{
		readyToStart(in),
		initialized(in.Pod, s),
		ready(in, containers, s),
		containers,
		{Type: v1.PodScheduled, Status: v1.ConditionTrue},
	}
	computed = append(computed, in.Conditions...)
	mine := map[v1.PodConditionType]bool{}
	for i := range computed {
		c := &computed[i]
		mine[c.Type] = true
		c.ObservedGeneration = in.Pod.Generation
		if c.LastTransitionTime.IsZero() {
			c.LastTransitionTime = transition(in, c)
		}
	}
	for _, t := range in.Drop {
		mine[t] = true
	}
	// What others set is taken as it stands in the API.
	for _, c := range in.Pod.Status.Conditions {
		if !mine[c.Type] && !own[c.Type] {
			computed = append(computed, c)
		}
	}
	return computed
}

// transition is when the condition came to be what it is.
func transition(in *Input, c *v1.PodCondition) metav1.Time {
	for i := range in.Old.Conditions {
		if old := &in.Old.Conditions[i]; old.Type == c.Type && old.Status == c.Status && !old.LastTransitionTime.IsZero() {
			return old.LastTransitionTime
		}
	}
	return in.Now
}

func readyToStart(in *Input) v1.PodCondition {
	c := v1.PodCondition{Type: v1.PodReadyToStartContainers, Status: v1.ConditionFalse}
	sandbox := in.Runtime.Sandbox()
	if sandbox != nil && sandbox.Ready && (in.Pod.Spec.HostNetwork || len(sandbox.IPs) > 0) {
		c.Status = v1.ConditionTrue
	}
	return c
}

func initialized(pod *v1.Pod, s *v1.PodStatus) v1.PodCondition {
	c := v1.PodCondition{Type: v1.PodInitialized, Status: v1.ConditionTrue}
	if s.Phase == v1.PodSucceeded {
		c.Reason = reasonCompleted
		return c
	}
	if anyStarted(s.ContainerStatuses) {
		// The regular containers only start after all the others.
		return c
	}
	var incomplete []string
	for i := range pod.Spec.InitContainers {
		container, cs := &pod.Spec.InitContainers[i], &s.InitContainerStatuses[i]
		done := cs.Ready
		if spec.Sidecar(container) {
			done = cs.Started != nil && *cs.Started
		}
		if !done {
			incomplete = append(incomplete, container.Name)
		}
	}
	if len(incomplete) > 0 {
		c.Status, c.Reason = v1.ConditionFalse, "ContainersNotInitialized"
		c.Message = fmt.Sprintf("containers with incomplete status: %s", list(incomplete))
	}
	return c
}

func anyStarted(statuses []v1.ContainerStatus) bool {
	for i := range statuses {
		if s := &statuses[i]; s.State.Running != nil || s.State.Terminated != nil && s.State.Terminated.Reason != reasonUnknown ||
			s.LastTerminationState.Terminated != nil {
			return true
		}
	}
	return false
}

// Reasons of the Ready and ContainersReady conditions.
const (
	reasonCompleted   = "PodCompleted"
	reasonFailed      = "PodFailed"
	reasonNotReady    = "ContainersNotReady"
	reasonGatesNotSet = "ReadinessGatesNotReady"
)

func containersReady(pod *v1.Pod, s *v1.PodStatus) v1.PodCondition {
	c := v1.PodCondition{Type: v1.ContainersReady, Status: v1.ConditionTrue}
	switch s.Phase {
	case v1.PodSucceeded:
		c.Status, c.Reason = v1.ConditionFalse, reasonCompleted
		return c
	case v1.PodFailed:
		c.Status, c.Reason = v1.ConditionFalse, reasonFailed
		return c
	}
	var unready []string
	for i := range pod.Spec.InitContainers {
		if spec.Sidecar(&pod.Spec.InitContainers[i]) && !s.InitContainerStatuses[i].Ready {
			unready = append(unready, pod.Spec.InitContainers[i].Name)
		}
	}
	for i := range s.ContainerStatuses {
		if !s.ContainerStatuses[i].Ready {
			unready = append(unready, s.ContainerStatuses[i].Name)
		}
	}
	if len(unready) > 0 {
		c.Status, c.Reason = v1.ConditionFalse, reasonNotReady
		c.Message = fmt.Sprintf("containers with unready status: %s", list(unready))
	}
	return c
}

// ready: all containers are, and all readiness gates are true.
func ready(in *Input, containers v1.PodCondition, s *v1.PodStatus) v1.PodCondition {
	c := containers
	c.Type = v1.PodReady
	if c.Status != v1.ConditionTrue {
		return c
	}
	var missing []string
	for _, gate := range in.Pod.Spec.ReadinessGates {
		switch found := find(in.Pod.Status.Conditions, gate.ConditionType); {
		case found == nil:
			missing = append(missing, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case found.Status != v1.ConditionTrue:
			missing = append(missing, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, found.Status))
		}
	}
	if len(missing) > 0 {
		c.Status, c.Reason, c.Message = v1.ConditionFalse, reasonGatesNotSet, strings.Join(missing, ", ")
	}
	return c
}

func find(conditions []v1.PodCondition, t v1.PodConditionType) *v1.PodCondition {
	for i := range conditions {
		if conditions[i].Type == t {
			return &conditions[i]
		}
	}
	return nil
}

func list(names []string) string { return "[" + strings.Join(names, " ") + "]" }
