package status

import (
	v1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/kubelet/spec"
)

// tally counts the pod's containers by what matters for its phase.
type tally struct {
	waiting, running, stopped, failed, restarting int
	initPending, initFailed                       int
}

// phase sums up the containers. stopped says that none runs nor will again.
func phase(pod *v1.Pod, s *v1.PodStatus, stopped bool) v1.PodPhase {
	t := count(pod, s, stopped)
	switch {
	case t.initFailed > 0:
		return v1.PodFailed
	case stopped:
		if t.failed > 0 || t.waiting > 0 || t.stopped == 0 {
			return v1.PodFailed
		}
		return v1.PodSucceeded
	case t.initPending > 0:
		return v1.PodPending
	case t.waiting > 0:
		return v1.PodPending
	case t.running > 0 || t.restarting > 0:
		return v1.PodRunning
	case t.stopped > 0 && t.failed == 0:
		return v1.PodSucceeded
	case t.stopped > 0:
		return v1.PodFailed
	}
	return v1.PodPending
}

func count(pod *v1.Pod, s *v1.PodStatus, stopped bool) tally {
	var t tally
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		t.init(pod, c, &s.InitContainerStatuses[i])
	}
	for i := range pod.Spec.Containers {
		t.regular(pod, &pod.Spec.Containers[i], &s.ContainerStatuses[i], stopped)
	}
	return t
}

func (t *tally) init(pod *v1.Pod, c *v1.Container, s *v1.ContainerStatus) {
	ended := s.State.Terminated
	switch {
	case spec.Sidecar(c):
		// Once it has started, how a sidecar ends is no matter of the pod's phase; but a pod is not over while one runs.
		hasStarted := s.Started != nil && *s.Started || s.LastTerminationState.Terminated != nil || ended != nil
		if !hasStarted {
			t.initPending++
		} else if s.State.Running != nil {
			t.running++
		}
	case ended == nil:
		t.initPending++
	case ended.ExitCode == 0:
	case AfterExit(pod, c, spec.Init, ended.ExitCode) == Stay:
		t.initFailed++
	default:
		t.initPending++
	}
}

func (t *tally) regular(pod *v1.Pod, c *v1.Container, s *v1.ContainerStatus, stopped bool) {
	ended := s.State.Terminated
	if ended == nil && s.State.Waiting != nil && s.LastTerminationState.Terminated != nil {
		// Between two starts.
		t.restarting++
		return
	}
	switch {
	case s.State.Running != nil:
		t.running++
	case ended == nil:
		t.waiting++
	case !stopped && AfterExit(pod, c, spec.Regular, ended.ExitCode) != Stay:
		t.restarting++
	default:
		t.stopped++
		if ended.ExitCode != 0 {
			t.failed++
		}
	}
}
