// Package pod makes one pod on this node be what its spec says. Decide is the
// judgement, a pure function from what is known of the pod to what is to be done
// about it; Worker, a goroutine a pod, gathers what is known, asks Decide whenever
// something changed, and has it done through the container runtime.
//
// A pod's life on the node, as Worker's stages:
//
//	starting ──▶ syncing ──▶ terminating ──▶ terminated ──▶ gone
//	 admitted     Decide      everything      volumes and     nothing is left
//	 volumes,     runs        is stopped      cgroups go      (deleted in the API)
//	 sandbox      the pod
package pod

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/probe"
	"github.com/septet-io/septet/kubelet/spec"
	"github.com/septet-io/septet/kubelet/status"
)

// Snapshot is all that a decision about a pod may read.
type Snapshot struct {
	Pod     *v1.Pod
	Runtime *cri.Pod
	// Verdicts are the probes' results by container id.
	Verdicts map[string]probe.Verdict
	// Backoff is how crash loops are slowed down, by container.
	Backoff map[string]Backoff
	// Retry is when a container that failed to start is to be tried again.
	Retry map[string]time.Time
	// Busy containers are being started or stopped.
	Busy map[string]bool
	// Epoch hides containers created before it, because the whole pod starts again.
	Epoch time.Time
	// ResizeRestart names containers that must restart to get their new resources.
	ResizeRestart map[string]bool
	Now           time.Time
}

// Actions is what to do for a pod now.
type Actions struct {
	// Over says that nothing of the pod is to run any more.
	Over bool
	// CreateSandbox asks for a sandbox, the Attempt'th; Changed says that it
	// replaces one, which with all its containers is to be stopped first.
	CreateSandbox bool
	Attempt       uint32
	Changed       bool
	// Reset says that all containers are to be stopped and started again.
	Reset bool
	// Kill lists containers to stop, Start those to start, in this order.
	Kill  []Kill
	Start []string
	// Waiting are the containers in a crash loop, until when each waits.
	Waiting map[string]time.Time
	// Next is when to decide again if nothing happens before; zero for never.
	Next time.Time
}

// Kill is a container to stop, and why.
type Kill struct {
	Name, ID string
	Message  string
	// Grace in seconds, when not nil, replaces the pod's (of the probe that failed).
	Grace *int64
}

// Decide returns what to do for a pod now. It reads nothing but the snapshot and
// changes nothing.
func Decide(s *Snapshot) Actions {
	d := decision{Snapshot: s}
	d.sandbox = usable(s)
	if d.sandbox == nil {
		d.withoutSandbox()
		return d.Actions
	}
	if d.wantsReset() {
		d.Reset = true
		return d.Actions
	}
	d.ephemeral()
	if d.init() {
		d.regular()
	}
	return d.Actions
}

// decision is a decision in the making.
type decision struct {
	*Snapshot
	Actions
	sandbox *cri.Sandbox
}

// usable returns the pod's sandbox if it can be used: it is ready, on the right
// network, and has an address. nil means that another is needed.
func usable(s *Snapshot) *cri.Sandbox {
	newest := s.Runtime.Sandbox()
	switch {
	case newest == nil, !newest.Ready, newest.HostNetwork != s.Pod.Spec.HostNetwork:
		return nil
	case !newest.HostNetwork && len(newest.IPs) == 0:
		return nil
	}
	return newest
}

// withoutSandbox creates one if a container is still to run.
func (d *decision) withoutSandbox() {
	needed := false
	for i := range d.Pod.Spec.Containers {
		c := &d.Pod.Spec.Containers[i]
		latest := d.Runtime.Latest(c.Name)
		switch {
		case latest == nil:
			needed = true
		case latest.State == cri.Exited:
			needed = needed || status.AfterExit(d.Pod, c, spec.Regular, latest.ExitCode) != status.Stay
		default:
			// It was running when its sandbox went; for its policy, it failed.
			needed = needed || status.AfterExit(d.Pod, c, spec.Regular, codeKilled) != status.Stay
		}
	}
	if d.initFailed() || !needed {
		d.Over = true
		return
	}
	d.CreateSandbox = true
	if old := d.Runtime.Sandbox(); old != nil {
		d.Attempt = old.Attempt + 1
		d.Changed = true
	}
}

// codeKilled is the exit code of a container that was killed.
const codeKilled = 137

// initFailed says whether an init container failed for good.
func (d *decision) initFailed() bool {
	for i := range d.Pod.Spec.InitContainers {
		c := &d.Pod.Spec.InitContainers[i]
		latest := d.Runtime.Latest(c.Name)
		if latest != nil && latest.State == cri.Exited && latest.ExitCode != 0 && !spec.Sidecar(c) &&
			status.AfterExit(d.Pod, c, spec.Init, latest.ExitCode) == status.Stay {
			return true
		}
	}
	return false
}

// wantsReset: a container ended with a code for which its rules restart the pod.
func (d *decision) wantsReset() bool {
	wanted := false
	spec.EachContainer(d.Pod, func(c *v1.Container, kind spec.Kind) {
		now := d.current(c.Name)
		wanted = wanted || now != nil && now.State == cri.Exited && !d.Busy[c.Name] &&
			status.AfterExit(d.Pod, c, kind, now.ExitCode) == status.Everything
	})
	return wanted
}

// current returns the container's instance in the sandbox in use; nil if it has
// not been started there yet.
func (d *decision) current(name string) *cri.Container {
	latest := d.Runtime.Latest(name)
	if latest == nil || latest.SandboxID != d.sandbox.ID || latest.CreatedAt.Before(d.Epoch) {
		return nil
	}
	return latest
}

// ephemeral containers start once, at any time, and are never restarted.
func (d *decision) ephemeral() {
	for i := range d.Pod.Spec.EphemeralContainers {
		if c := &d.Pod.Spec.EphemeralContainers[i]; d.Runtime.Latest(c.Name) == nil {
			d.start(c.Name)
		}
	}
}

// start starts a container unless it is busy, or failed to start a moment ago.
func (d *decision) start(name string) {
	if d.Busy[name] {
		return
	}
	if at := d.Retry[name]; at.After(d.Now) {
		d.again(at)
		return
	}
	d.Start = append(d.Start, name)
}

// restart starts a container again that ended, or lets it wait if it is in a
// crash loop.
func (d *decision) restart(c *v1.Container, ended *cri.Container) {
	if d.Busy[c.Name] {
		return
	}
	if until, waits := d.Backoff[c.Name].Until(cri.Hash(c), ended.FinishedAt); waits && until.After(d.Now) {
		if d.Waiting == nil {
			d.Waiting = map[string]time.Time{}
		}
		d.Waiting[c.Name] = until
		d.again(until)
		return
	}
	d.start(c.Name)
}

// again asks for another decision at a moment.
func (d *decision) again(at time.Time) {
	if d.Next.IsZero() || at.Before(d.Next) {
		d.Next = at
	}
}

// unhealthy stops a running container whose probe failed, and says whether it did.
func (d *decision) unhealthy(c *v1.Container, now *cri.Container, kind spec.Kind) bool {
	if d.Busy[c.Name] {
		return false
	}
	verdict := d.Verdicts[now.ID]
	var message string
	var grace *int64
	switch {
	case now.Hash != "" && now.Hash != cri.Hash(c) && kind == spec.Regular:
		message = fmt.Sprintf("Container %s definition changed", c.Name)
	case verdict.Startup == probe.Failure:
		message, grace = fmt.Sprintf("Container %s failed startup probe", c.Name), c.StartupProbe.TerminationGracePeriodSeconds
	case verdict.Liveness == probe.Failure:
		message, grace = fmt.Sprintf("Container %s failed liveness probe", c.Name), c.LivenessProbe.TerminationGracePeriodSeconds
	case d.ResizeRestart[c.Name]:
		message = fmt.Sprintf("Container %s resize requires restart", c.Name)
	default:
		return false
	}
	if status.AfterExit(d.Pod, c, kind, codeKilled) != status.Stay {
		message += ", will be restarted"
	}
	d.Kill = append(d.Kill, Kill{Name: c.Name, ID: now.ID, Message: message, Grace: grace})
	return true
}
