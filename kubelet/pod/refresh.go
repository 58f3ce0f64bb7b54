package pod

import (
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/probe"
	"github.com/septet-io/septet/kubelet/spec"
	"github.com/septet-io/septet/kubelet/status"
)

// refresh asks the runtime about what changed.
func (w *Worker) refresh() {
	if !w.staleAll && len(w.stale) == 0 {
		return
	}
	if err := w.ask(); err != nil {
		klog.FromContext(w.ctx).V(1).Info("Could not ask the runtime about a pod, trying again", "err", err)
		w.at(time.Now().Add(time.Second))
	}
}

func (w *Worker) ask() error {
	if w.staleAll {
		found, err := cri.Inspect(w.ctx, w.host.Runtime, w.uid)
		if err != nil {
			return err
		}
		for _, c := range found.Containers {
			if known := w.runtime.ByID(c.ID); known != nil && known.State == cri.Exited {
				c.Message = known.Message
			} else {
				readMessage(w.pod, c)
			}
		}
		w.runtime, w.staleAll = found, false
		clear(w.stale)
		return nil
	}
	for id := range w.stale {
		if err := w.askOne(id); err != nil {
			return err
		}
		delete(w.stale, id)
	}
	return nil
}

// askOne asks about one container or sandbox. The pod's picture is replaced, not
// changed: others may be looking at it.
func (w *Worker) askOne(id string) error {
	next := w.runtime.Clone()
	for _, s := range next.Sandboxes {
		if s.ID != id {
			continue
		}
		found, err := w.host.Runtime.PodSandboxStatus(w.ctx, id)
		switch {
		case cri.IsNotFound(err):
			next.DropSandbox(id)
		case err != nil:
			return err
		default:
			next.PutSandbox(cri.SandboxOf(found))
		}
		w.runtime = next
		return nil
	}
	found, err := w.host.Runtime.ContainerStatus(w.ctx, id, false)
	switch {
	case cri.IsNotFound(err):
		// Removed; or a sandbox's first event, which the one who makes it will tell of.
		next.DropContainer(id)
	case err != nil:
		return err
	case found.GetStatus().GetLabels()[cri.LabelPodUID] != string(w.uid):
		return nil
	default:
		w.put(next, cri.ContainerOf(found.GetStatus(), ""))
	}
	w.runtime = next
	return nil
}

// put takes a container into the picture; without a sandbox it is one of the newest.
func (w *Worker) put(in *cri.Pod, c *cri.Container) {
	known := in.ByID(c.ID)
	if c.SandboxID == "" && known == nil {
		if s := in.Sandbox(); s != nil {
			c.SandboxID = s.ID
		}
	}
	if known != nil && known.State == cri.Exited && c.State == cri.Exited {
		c.Message = known.Message
	} else {
		readMessage(w.pod, c)
	}
	in.PutContainer(c)
}

// publish computes the pod's status, shows it, and has it written.
func (w *Worker) publish() {
	in := status.Input{
		Pod:         w.pod,
		Runtime:     w.runtime,
		RuntimeName: w.host.RuntimeName,
		Waiting:     w.waiting,
		Verdicts:    w.host.Prober.Verdicts(w.uid),
		Old:         w.old,
		HostIPs:     w.hostIPs(),
		Now:         metav1.Now(),
		Stopped:     w.stage >= terminated,
		Conditions:  w.resize.conditions(),
		Drop:        []v1.PodConditionType{v1.PodResizePending, v1.PodResizeInProgress, v1.AllContainersRestarting},
	}
	if w.end != nil {
		in.Phase, in.Reason, in.Message = w.end.Phase, w.end.Reason, w.end.Message
		in.Conditions = append(in.Conditions, w.end.Conditions...)
		if w.stage < terminated && in.Phase == v1.PodFailed && w.runtime.AnyRunning() {
			// It has not failed before everything has stopped; the reason shows already.
			in.Phase = ""
		}
	}
	s := status.Compute(in)
	if w.end != nil && w.end.Bare {
		s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses = nil, nil, nil
		s.Conditions = w.pod.Status.Conditions
		s.Phase = w.end.Phase
	}
	w.old = s
	w.mu.Lock()
	w.view = View{Pod: w.pod, Runtime: w.runtime, Status: s, Terminating: w.stage >= terminating, Stopped: w.stage >= terminated}
	close(w.seen)
	w.seen = make(chan struct{})
	w.mu.Unlock()
	if w.stage == gone || w.finished {
		return
	}
	w.host.Status.Set(w.ctx, w.pod, s)
	if w.stage == terminated && w.released && w.pod.DeletionTimestamp != nil {
		w.finished = true
		w.host.Status.Finish(w.ctx, w.pod)
	}
}

func (w *Worker) hostIPs() []string {
	ips := w.host.Node.IPs()
	out := make([]string, len(ips))
	for i, ip := range ips {
		out[i] = ip.String()
	}
	return out
}

// podIPs are the addresses of the pod's sandbox.
func (w *Worker) podIPs() []string { return status.PodIPs(w.pod, w.runtime, w.hostIPs()) }

// probes has the probes of the running containers run.
func (w *Worker) probes() {
	if w.stage >= terminated {
		w.host.Prober.Stop(w.uid)
		return
	}
	var running []probe.Instance
	spec.EachContainer(w.pod, func(c *v1.Container, kind spec.Kind) {
		if kind == spec.Ephemeral || c.StartupProbe == nil && c.LivenessProbe == nil && c.ReadinessProbe == nil {
			return
		}
		if now := w.runtime.Latest(c.Name); now != nil && now.State == cri.Running {
			started, ready := w.known(c.Name, now)
			running = append(running, probe.Instance{Container: c, ID: now.ID, StartedAt: now.StartedAt, Started: started, Ready: ready})
		}
	})
	if w.stage == terminating {
		w.host.Prober.Terminating(w.uid)
	}
	w.host.Prober.Sync(w.ctx, w.pod, w.podIPs(), running)
}

// known is what the API knows of a container's probes from before the agent started.
func (w *Worker) known(name string, now *cri.Container) (started, ready bool) {
	for _, list := range [][]v1.ContainerStatus{w.pod.Status.ContainerStatuses, w.pod.Status.InitContainerStatuses} {
		for i := range list {
			if s := &list[i]; s.Name == name && s.ContainerID == w.host.RuntimeName+"://"+now.ID {
				return s.Started != nil && *s.Started, s.Ready
			}
		}
	}
	return false, false
}
