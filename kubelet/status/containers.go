package status

import (
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/probe"
	"github.com/septet-io/septet/kubelet/spec"
)

// Reasons and messages of containers that there is no trace of.
const (
	reasonCreating     = "ContainerCreating"
	reasonInitializing = "PodInitializing"
	reasonUnknown      = "ContainerStatusUnknown"
	messageLost        = "The container could not be located when the pod was terminated"
	messageWasRunning  = "The container could not be located when the pod was deleted.  The container used to be Running"
	codeLost           = 137
)

// containerStatuses returns the statuses of the pod's containers of one kind, in
// the order of the spec.
func containerStatuses(in *Input, kind spec.Kind) []v1.ContainerStatus {
	var out []v1.ContainerStatus
	spec.EachContainer(in.Pod, func(c *v1.Container, k spec.Kind) {
		if k == kind {
			out = append(out, containerStatus(in, c, kind))
		}
	})
	return out
}

func containerStatus(in *Input, c *v1.Container, kind spec.Kind) v1.ContainerStatus {
	old := oldStatus(in.Old, c.Name, kind)
	latest := in.Runtime.Latest(c.Name)
	s := v1.ContainerStatus{Name: c.Name, Image: c.Image}
	if latest == nil {
		absent(in, &s, c, kind, old)
		readiness(in, &s, c, kind, probe.Verdict{}, false)
		return s
	}
	s.ContainerID = in.RuntimeName + "://" + latest.ID
	s.RestartCount = int32(latest.RestartCount)
	s.Image, s.ImageID = imageOf(latest, c)
	s.State = stateOf(in, latest, kind)
	if previous := in.Runtime.Previous(c.Name); previous != nil && previous.State == cri.Exited {
		s.LastTerminationState = stateOf(in, previous, kind)
	} else if old != nil && s.RestartCount > 0 {
		s.LastTerminationState = old.LastTerminationState
	}
	if waiting, ok := in.Waiting[c.Name]; ok && latest.State != cri.Running && !in.Stopped {
		// It is to start again but could not, or must wait: that is its state now,
		// and how it ended is its last.
		if latest.State == cri.Exited {
			s.LastTerminationState = s.State
		}
		s.State = v1.ContainerState{Waiting: &waiting}
	}
	if in.Stopped && s.State.Terminated == nil {
		s.State = v1.ContainerState{Terminated: lost(messageLost)}
	}
	readiness(in, &s, c, kind, in.Verdicts[latest.ID], latest.State == cri.Running)
	s.Resources, s.AllocatedResources = resourcesOf(c, latest, kind)
	s.VolumeMounts = volumeMounts(c)
	s.User = userOf(latest)
	if latest.StopSignal != 0 {
		s.StopSignal = signalOf(latest.StopSignal)
	}
	return s
}

// absent fills in the status of a container that the runtime has no trace of:
// it never started, or was taken away behind the kubelet's back.
func absent(in *Input, s *v1.ContainerStatus, c *v1.Container, kind spec.Kind, old *v1.ContainerStatus) {
	if old != nil {
		s.RestartCount, s.LastTerminationState = old.RestartCount, old.LastTerminationState
		s.ImageID, s.ContainerID = old.ImageID, old.ContainerID
		if old.State.Terminated != nil && (in.Stopped || kind != spec.Regular || AfterExit(in.Pod, c, kind, old.State.Terminated.ExitCode) == Stay) {
			// It ended and need not start again; the runtime may have been cleaned.
			s.Image, s.State = old.Image, old.State
			s.Resources, s.AllocatedResources, s.User = old.Resources, old.AllocatedResources, old.User
			return
		}
		if old.State.Running != nil {
			s.LastTerminationState = v1.ContainerState{Terminated: lost(messageWasRunning)}
			s.LastTerminationState.Terminated.ContainerID = old.ContainerID
			s.LastTerminationState.Terminated.StartedAt = old.State.Running.StartedAt
			if in.Pod.Spec.RestartPolicy != v1.RestartPolicyNever && !in.Stopped {
				s.RestartCount++
			}
		}
	}
	if in.Stopped && (kind == spec.Regular || old != nil && old.State.Running != nil) {
		s.State = v1.ContainerState{Terminated: lost(messageLost)}
		return
	}
	waiting := unstarted(in, kind)
	if why, ok := in.Waiting[c.Name]; ok {
		waiting = why
	}
	s.State = v1.ContainerState{Waiting: &waiting}
}

// unstarted is why a container that nothing is wrong with does not run yet, whether the runtime knows it already or not.
func unstarted(in *Input, kind spec.Kind) v1.ContainerStateWaiting {
	if kind != spec.Ephemeral && len(in.Pod.Spec.InitContainers) > 0 {
		return v1.ContainerStateWaiting{Reason: reasonInitializing}
	}
	return v1.ContainerStateWaiting{Reason: reasonCreating}
}

func lost(message string) *v1.ContainerStateTerminated {
	return &v1.ContainerStateTerminated{Reason: reasonUnknown, Message: message, ExitCode: codeLost}
}

func stateOf(in *Input, c *cri.Container, kind spec.Kind) v1.ContainerState {
	switch c.State {
	case cri.Running:
		return v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: metav1.NewTime(c.StartedAt)}}
	case cri.Exited:
		return v1.ContainerState{Terminated: &v1.ContainerStateTerminated{
			ExitCode: c.ExitCode, Reason: c.Reason, Message: c.Message,
			StartedAt: metav1.NewTime(c.StartedAt), FinishedAt: metav1.NewTime(c.FinishedAt),
			ContainerID: in.RuntimeName + "://" + c.ID,
		}}
	}
	waiting := unstarted(in, kind)
	return v1.ContainerState{Waiting: &waiting}
}

// readiness sets Started and Ready from the probes.
func readiness(in *Input, s *v1.ContainerStatus, c *v1.Container, kind spec.Kind, v probe.Verdict, running bool) {
	running = running && s.State.Running != nil
	started := running
	switch {
	case kind == spec.Ephemeral:
		return
	case kind == spec.Init && !spec.Sidecar(c):
		s.Started = &started
		s.Ready = s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
		return
	case c.StartupProbe != nil:
		started = running && v.Startup == probe.Success
	}
	s.Started = &started
	s.Ready = started && (c.ReadinessProbe == nil || v.Readiness == probe.Success) && !in.Stopped
}

func imageOf(latest *cri.Container, c *v1.Container) (image, id string) {
	image, id = latest.Image, latest.ImageRef
	if image == "" {
		image = c.Image
	}
	if id == "" {
		id = latest.ImageID
	}
	return image, id
}

func oldStatus(old *v1.PodStatus, name string, kind spec.Kind) *v1.ContainerStatus {
	list := old.ContainerStatuses
	switch kind {
	case spec.Init:
		list = old.InitContainerStatuses
	case spec.Ephemeral:
		list = old.EphemeralContainerStatuses
	}
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}
