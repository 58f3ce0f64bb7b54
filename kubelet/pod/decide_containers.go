package pod

import (
	v1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/probe"
	"github.com/septet-io/septet/kubelet/spec"
	"github.com/septet-io/septet/kubelet/status"
)

// init looks after the init containers, which run one after the other, sidecars
// among them staying. It returns true once all have done their part, so that the
// regular containers may run.
func (d *decision) init() bool {
	frontier := d.frontier()
	for i := range d.Pod.Spec.InitContainers {
		c := &d.Pod.Spec.InitContainers[i]
		now := d.current(c.Name)
		switch {
		case i > frontier:
			d.start(c.Name)
			return false
		case spec.Sidecar(c):
			if started := d.sidecar(c, now); i == frontier && !started {
				return false
			}
		case i < frontier:
			// Something after it has run: it is done, whatever became of its traces.
		case now.State == cri.Running:
			return false
		case now.State == cri.Exited && now.ExitCode == 0 && !d.Busy[c.Name]:
		default:
			d.afterInit(c, now)
			return false
		}
	}
	return true
}

// frontier is the index of the furthest init container that has been started in
// this sandbox; all of them, when a regular container has been, -1 for none.
func (d *decision) frontier() int {
	for i := range d.Pod.Spec.Containers {
		if d.current(d.Pod.Spec.Containers[i].Name) != nil {
			return len(d.Pod.Spec.InitContainers)
		}
	}
	for i := len(d.Pod.Spec.InitContainers) - 1; i >= 0; i-- {
		if d.current(d.Pod.Spec.InitContainers[i].Name) != nil {
			return i
		}
	}
	return -1
}

// sidecar keeps a sidecar running, and says whether what comes after it may start.
func (d *decision) sidecar(c *v1.Container, now *cri.Container) bool {
	switch {
	case now == nil, now.State == cri.Created:
		d.start(c.Name)
		return false
	case now.State == cri.Exited:
		d.restart(c, now)
		return false
	case now.State == cri.Unknown:
		d.killUnknown(c, now)
		return false
	}
	if d.unhealthy(c, now, spec.Init) {
		return false
	}
	// A hook that has not ended holds up what comes after.
	return !d.Busy[c.Name] && (c.StartupProbe == nil || d.Verdicts[now.ID].Startup == probe.Success)
}

// afterInit deals with an init container that did not end well.
func (d *decision) afterInit(c *v1.Container, now *cri.Container) {
	switch {
	case d.Busy[c.Name]:
	case now.State == cri.Created:
		d.start(c.Name)
	case now.State == cri.Unknown:
		d.killUnknown(c, now)
	case status.AfterExit(d.Pod, c, spec.Init, now.ExitCode) == status.Stay:
		d.Over = true
	default:
		d.restart(c, now)
	}
}

// regular keeps the regular containers as their policies want them; if none is to
// run any more the pod is over.
func (d *decision) regular() {
	over := true
	for i := range d.Pod.Spec.Containers {
		c := &d.Pod.Spec.Containers[i]
		now := d.current(c.Name)
		if now == nil {
			// Not started in this sandbox. One that was done in an earlier one stays so.
			if before := d.Runtime.Latest(c.Name); before != nil && before.State == cri.Exited && before.CreatedAt.After(d.Epoch) &&
				status.AfterExit(d.Pod, c, spec.Regular, before.ExitCode) == status.Stay {
				continue
			}
			over = false
			d.start(c.Name)
			continue
		}
		switch {
		case d.Busy[c.Name]:
			over = false
		case now.State == cri.Running:
			over = false
			d.unhealthy(c, now, spec.Regular)
		case now.State == cri.Created:
			over = false
			d.start(c.Name)
		case now.State == cri.Unknown:
			over = false
			d.killUnknown(c, now)
		case status.AfterExit(d.Pod, c, spec.Regular, now.ExitCode) != status.Stay:
			over = false
			d.restart(c, now)
		}
	}
	d.Over = d.Over || over
}

// killUnknown stops a container that the runtime lost track of; it can then be
// started again.
func (d *decision) killUnknown(c *v1.Container, now *cri.Container) {
	if !d.Busy[c.Name] {
		d.Kill = append(d.Kill, Kill{Name: c.Name, ID: now.ID, Message: "Container is in unknown state, try killing it before restart"})
	}
}
