package core

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

func podColumns() []resource.Column[*corev1.Pod] {
	return []resource.Column[*corev1.Pod]{
		resource.Name[*corev1.Pod](),
		resource.Text("Ready", "The aggregate readiness state of this pod for accepting traffic.", func(p *corev1.Pod) string {
			s := summarize(p)
			return fmt.Sprintf("%d/%d", s.ready, s.total)
		}),
		resource.Text("Status", "The aggregate status of the containers in this pod.", func(p *corev1.Pod) string { return summarize(p).reason }),
		resource.Text("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
			func(p *corev1.Pod) string {
				s := summarize(p)
				if s.restarts != 0 && !s.last.IsZero() {
					return fmt.Sprintf("%d (%s ago)", s.restarts, resource.Since(s.last))
				}
				return strconv.Itoa(s.restarts)
			}),
		resource.Age[*corev1.Pod](),
		resource.Wide("IP", corev1.PodStatus{}.SwaggerDoc()["podIP"], func(p *corev1.Pod) string {
			if len(p.Status.PodIPs) > 0 {
				return orNone(p.Status.PodIPs[0].IP)
			}
			return orNone(p.Status.PodIP)
		}),
		resource.Wide("Node", corev1.PodSpec{}.SwaggerDoc()["nodeName"], func(p *corev1.Pod) string { return orNone(p.Spec.NodeName) }),
		resource.Wide("Nominated Node", corev1.PodStatus{}.SwaggerDoc()["nominatedNodeName"],
			func(p *corev1.Pod) string { return orNone(p.Status.NominatedNodeName) }),
		resource.Wide("Readiness Gates", corev1.PodSpec{}.SwaggerDoc()["readinessGates"], readinessGates),
	}
}

// podSummary is what the columns about a pod's containers show.
type podSummary struct {
	reason       string
	ready, total int
	restarts     int
	last         metav1.Time // of the restarts
}

// count adds a container's restarts.
func (s *podSummary) count(c *corev1.ContainerStatus) {
	s.restarts += int(c.RestartCount)
	if t := c.LastTerminationState.Terminated; t != nil && s.last.Before(&t.FinishedAt) {
		s.last = t.FinishedAt
	}
}

// summarize finds the one word that says best what a pod is doing, as kubectl users know it.
func summarize(pod *corev1.Pod) podSummary {
	s := podSummary{reason: string(pod.Status.Phase), total: len(pod.Spec.Containers)}
	if pod.Status.Reason != "" {
		s.reason = pod.Status.Reason
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			s.reason = corev1.PodReasonSchedulingGated
		}
	}
	if initializing := s.initContainers(pod); !initializing || conditionTrue(pod, corev1.PodInitialized) {
		s.mainContainers(pod)
	}
	switch {
	case pod.DeletionTimestamp == nil:
	case pod.Status.Reason == "NodeLost":
		s.reason = "Unknown"
	case pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded:
		s.reason = "Terminating"
	}
	return s
}

// initContainers looks for the first that is not done, and says whether there is one.
func (s *podSummary) initContainers(pod *corev1.Pod) bool {
	sidecars := map[string]bool{}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; Sidecar(c) {
			sidecars[c.Name] = true
			s.total++
		}
	}
	beside := podSummary{} // restarts of sidecars alone: those of other init containers are forgotten when they are through
	for i := range pod.Status.InitContainerStatuses {
		c := &pod.Status.InitContainerStatuses[i]
		s.count(c)
		if sidecars[c.Name] {
			beside.count(c)
		}
		done := c.State.Terminated
		switch {
		case done != nil && done.ExitCode == 0:
			continue
		case sidecars[c.Name] && c.Started != nil && *c.Started:
			if c.Ready {
				s.ready++
			}
			continue
		case done != nil:
			s.reason = "Init:" + endReason(done)
		case c.State.Waiting != nil && c.State.Waiting.Reason != "" && c.State.Waiting.Reason != "PodInitializing":
			s.reason = "Init:" + c.State.Waiting.Reason
		default:
			s.reason = fmt.Sprintf("Init:%d/%d", i, len(pod.Spec.InitContainers))
		}
		if conditionTrue(pod, corev1.PodInitialized) {
			s.restarts, s.last = beside.restarts, beside.last
		}
		return true
	}
	s.restarts, s.last = beside.restarts, beside.last
	return false
}

// mainContainers: the first container that has something to say wins.
func (s *podSummary) mainContainers(pod *corev1.Pod) {
	running := false
	for i := range slices.Backward(pod.Status.ContainerStatuses) {
		c := &pod.Status.ContainerStatuses[i]
		s.count(c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.reason = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.reason = endReason(c.State.Terminated)
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.reason == "Completed" && running {
		s.reason = "NotReady"
		if conditionTrue(pod, corev1.PodReady) {
			s.reason = "Running"
		}
	}
}

func endReason(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

func conditionTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}

func readinessGates(pod *corev1.Pod) string {
	if len(pod.Spec.ReadinessGates) == 0 {
		return "<none>"
	}
	open := 0
	for _, gate := range pod.Spec.ReadinessGates {
		if conditionTrue(pod, gate.ConditionType) {
			open++
		}
	}
	return fmt.Sprintf("%d/%d", open, len(pod.Spec.ReadinessGates))
}

func podRowConditions(pod *corev1.Pod) []metav1.TableRowCondition {
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return []metav1.TableRowCondition{{
			Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: string(corev1.PodSucceeded),
			Message: "The pod has completed successfully.",
		}}
	case corev1.PodFailed:
		return []metav1.TableRowCondition{{
			Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: string(corev1.PodFailed),
			Message: "The pod failed.",
		}}
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}
