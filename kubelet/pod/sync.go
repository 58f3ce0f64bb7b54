package pod

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/spec"
)

// Delays after failures of what concerns a pod as a whole.
const (
	retrySoon    = 20 * time.Millisecond
	retryFirst   = 500 * time.Millisecond
	retryVolumes = 2 * time.Minute
	retrySandbox = 10 * time.Second
	// retryContainer is for a container that could not be made; one that was made
	// and ended is in a crash loop instead.
	retryContainer = 10 * time.Second
	// shown is how long a container is seen as ended before it is seen as waiting.
	shown = time.Second
)

// sync does what the pod needs now.
func (w *Worker) sync() {
	if !w.prepare() {
		return
	}
	w.mount()
	if w.sandboxBusy {
		return
	}
	now := time.Now()
	actions := Decide(&Snapshot{
		Pod: w.pod, Runtime: w.runtime, Verdicts: w.host.Prober.Verdicts(w.uid), Backoff: w.backoff, Retry: w.retry,
		Busy: w.busy, Epoch: w.epoch, ResizeRestart: w.resize.restart, Now: now,
	})
	if !actions.Next.IsZero() {
		w.at(actions.Next)
	}
	w.crashLoops(actions.Waiting, now)
	switch {
	case actions.Over:
		w.beginEnd()
		w.terminate()
	case actions.CreateSandbox:
		w.createSandbox(actions)
	case actions.Reset:
		w.reset()
	default:
		for _, k := range actions.Kill {
			w.killOne(k)
		}
		if w.volumes != nil && len(actions.Start) > 0 {
			w.startAll(actions.Start)
		}
		w.applyResize()
	}
}

// prepare makes what the pod has on the host before its volumes: folders and
// control group. false means that it failed and will be tried again.
func (w *Worker) prepare() bool {
	if w.prepared {
		return true
	}
	if !w.may("prepare") {
		return false
	}
	if err := w.prepareHost(); err != nil {
		w.host.event(w.pod, "", v1.EventTypeWarning, "FailedToCreatePodContainer", err.Error())
		klog.FromContext(w.ctx).Error(err, "Could not prepare a pod")
		w.failed("prepare", retryFirst, retrySandbox)
		w.may("prepare")
		return false
	}
	w.prepared = true
	return true
}

func (w *Worker) prepareHost() error {
	dir := w.host.Node.PodDir(w.uid)
	for _, sub := range []string{"volumes", "plugins", "containers"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o750); err != nil {
			return fmt.Errorf("error making pod data directories: %w", err)
		}
	}
	if err := os.MkdirAll(w.host.Node.LogDir(w.pod), 0o755); err != nil {
		return fmt.Errorf("create pod log directory: %w", err)
	}
	var err error
	if w.handler, err = w.host.Handler(w.pod); err != nil {
		return err
	}
	if w.cgroup, err = w.host.Cgroups.EnsurePod(w.pod); err != nil {
		return fmt.Errorf("unable to ensure pod container exists: %w", err)
	}
	w.resize.whole = w.pod.Spec.Resources
	if spec.UserNamespace(w.pod) {
		if !w.host.Features(w.handler).UserNamespaces {
			return fmt.Errorf("the handler %q is not known to support user namespaces", w.handler)
		}
		if w.idMaps, err = w.host.UserIDs.Acquire(w.uid); err != nil {
			return fmt.Errorf("user namespace of the pod: %w", err)
		}
	}
	return nil
}

// volumesStale has the volumes looked at again, as the pod changed or what they
// lacked has come: their contents may tell of the pod, and a new ephemeral
// container may be the first to use one.
func (w *Worker) volumesStale() {
	delete(w.retries, "volumes")
	w.remount = true
}

// mount makes the volumes exist, beside everything else.
func (w *Worker) mount() {
	if w.volumes != nil && !w.remount || w.volumesBusy || !w.may("volumes") {
		return
	}
	w.volumesBusy, w.remount = true, false
	pod, ctx, began := w.pod, w.syncCtx, time.Now()
	w.ops.Add(1)
	go func() {
		defer w.ops.Done()
		volumes, groups, err := w.host.Volumes.Mount(ctx, pod)
		if err == nil && len(pod.Spec.Volumes) > 0 {
			w.host.note(pod, "mount volumes", fmt.Sprintf("%d volumes", len(pod.Spec.Volumes)), began)
		}
		w.post(func() { w.mounted(pod, volumes, groups, err) })
	}()
}

func (w *Worker) mounted(pod *v1.Pod, volumes map[string]spec.Volume, groups []int64, err error) {
	w.volumesBusy = false
	if err == nil {
		if w.volumes = volumes; volumes == nil {
			w.volumes = map[string]spec.Volume{}
		}
		w.groups = groups
		delete(w.retries, "volumes")
		return
	}
	if w.syncCtx.Err() != nil {
		return
	}
	w.remount = true
	w.failed("volumes", retrySoon, retryVolumes)
	if apierrors.IsForbidden(err) && w.retries["volumes"].delay < retryFirst {
		// The API server's authorizer may learn a moment later than this node that
		// the pod is here.
		return
	}
	for _, each := range apart(err) {
		w.host.event(pod, "", v1.EventTypeWarning, "FailedMount", each.Error())
	}
}

// apart returns the errors that err joins.
func apart(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

// crashLoops shows the containers that wait for their restart, and tells of each
// wait once.
func (w *Worker) crashLoops(waiting map[string]time.Time, now time.Time) {
	for name := range waiting {
		latest := w.runtime.Latest(name)
		if due := latest.FinishedAt.Add(shown); due.After(now) {
			w.at(due)
			continue
		}
		delay := w.backoff[name].Delay
		message := fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", delay, name, identity(w.pod))
		if w.waiting[name].Reason == "CrashLoopBackOff" && w.waiting[name].Message == message {
			continue
		}
		w.waiting[name] = v1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: message}
		w.host.event(w.pod, name, v1.EventTypeWarning, "BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s", name, identity(w.pod)))
	}
}

// identity is how messages name a pod.
func identity(pod *v1.Pod) string { return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID) }

// reset stops all containers so that all of them start again. Those that exist
// now do not count any more.
func (w *Worker) reset() {
	w.epoch = time.Now()
	clear(w.retry)
	var running []Kill
	for _, c := range w.runtime.Containers {
		if c.State == cri.Running || c.State == cri.Unknown {
			running = append(running, Kill{Name: c.Name, ID: c.ID, Message: "Stopping container " + c.Name + " because all containers of the pod restart"})
		}
	}
	for _, k := range running {
		w.killOne(k)
	}
	w.at(time.Now())
}
