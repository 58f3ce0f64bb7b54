package pod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/spec"
)

// beginEnd turns from running the pod to stopping it: whatever is being started or
// pulled is given up.
func (w *Worker) beginEnd() {
	w.stage = terminating
	w.cancelSync()
	clear(w.retries)
	w.host.note(w.pod, "terminate", w.why(), time.Time{})
}

func (w *Worker) why() string {
	switch {
	case w.end != nil:
		return w.end.Reason
	case w.pod.DeletionTimestamp != nil:
		return "deleted"
	case w.removed:
		return "removed"
	}
	return "completed"
}

// terminate stops everything of the pod. A deletion that gives less time than the
// stop under way replaces it.
func (w *Worker) terminate() {
	grace := w.endGrace()
	if w.kill != nil {
		if grace < w.killing {
			w.kill()
		}
		return
	}
	if !w.may("kill") {
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.kill, w.killing = cancel, grace
	pod := w.pod
	go func() {
		defer cancel()
		w.ops.Wait() // what was being started has to be known
		left, err := w.stopAll(ctx, pod, grace)
		w.post(func() {
			w.kill = nil
			if left != nil {
				w.runtime = left
			}
			switch {
			case ctx.Err() != nil && w.ctx.Err() == nil && err != nil:
				// Replaced by a shorter one, which begins with this step.
			case err != nil:
				w.host.event(pod, "", v1.EventTypeWarning, "FailedKillPod", "error killing pod: "+err.Error())
				w.failed("kill", retryFirst, retrySandbox)
			default:
				w.stage = terminated
			}
		})
	}()
}

// endGrace is how many seconds the pod has to stop.
func (w *Worker) endGrace() int64 {
	var override *int64
	if w.end != nil {
		override = w.end.Grace
	}
	grace := graceOf(w.pod, override)
	if w.pod.DeletionTimestamp != nil {
		// Neither may lengthen the other.
		grace = min(grace, graceOf(w.pod, nil))
	}
	return grace
}

// stopAll stops all of the pod's containers and its sandboxes, and returns what is
// left of them.
func (w *Worker) stopAll(ctx context.Context, pod *v1.Pod, grace int64) (*cri.Pod, error) {
	found, err := cri.Inspect(ctx, w.host.Runtime, pod.UID)
	if err != nil {
		return nil, err
	}
	if len(found.Sandboxes) == 0 && len(found.Containers) == 0 {
		return found, nil
	}
	var kills []Kill
	for _, c := range found.Containers {
		if c.State == cri.Running || c.State == cri.Unknown {
			kills = append(kills, Kill{Name: c.Name, ID: c.ID})
		}
	}
	if err := w.stopContainers(ctx, pod, found, kills, grace); err != nil {
		return nil, err
	}
	for _, s := range found.Sandboxes {
		if err := w.host.Runtime.StopPodSandbox(ctx, s.ID); err != nil && !cri.IsNotFound(err) {
			return nil, fmt.Errorf("stop sandbox %s: %w", s.ID, err)
		}
	}
	left, err := cri.Inspect(ctx, w.host.Runtime, pod.UID)
	if err != nil {
		return nil, err
	}
	for _, c := range left.Containers {
		readMessage(pod, c)
	}
	if left.AnyRunning() {
		return left, errors.New("containers are still running")
	}
	return left, nil
}

// release takes away what a stopped pod has on the host: first what others could
// use again (volumes, control group), then, once the pod is to be deleted, all
// traces of it.
func (w *Worker) release() {
	deleted := w.removed || w.pod.DeletionTimestamp != nil
	switch {
	case w.cleaning:
	case !w.released:
		w.clean("release", func(ctx context.Context, pod *v1.Pod) error { return w.releaseHost(ctx, pod) }, func() { w.released = true })
	case deleted && !w.cleaned:
		w.clean("remove", w.removeTraces, func() { w.cleaned = true })
	case w.removed && w.cleaned:
		w.host.Objects.Use(w.uid, nil)
		w.stage = gone
	}
}

// clean runs a step of the clean-up until it succeeds.
func (w *Worker) clean(step string, do func(context.Context, *v1.Pod) error, done func()) {
	if !w.may(step) {
		return
	}
	w.cleaning = true
	pod := w.pod
	go func() {
		err := do(w.ctx, pod)
		w.post(func() {
			w.cleaning = false
			if err != nil {
				klog.FromContext(w.ctx).Error(err, "Could not clean up after a pod", "step", step)
				w.failed(step, retryFirst, retrySandbox)
				return
			}
			done()
		})
	}()
}

func (w *Worker) releaseHost(ctx context.Context, pod *v1.Pod) error {
	began := time.Now()
	if err := w.host.Volumes.Unmount(ctx, pod.UID); err != nil {
		return fmt.Errorf("unmount volumes: %w", err)
	}
	if err := w.host.Cgroups.RemovePod(pod.UID); err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	if w.host.Devices != nil {
		w.host.Devices.Release(pod.UID)
	}
	if spec.UserNamespace(pod) {
		w.host.UserIDs.Release(pod.UID)
	}
	w.host.note(pod, "release", "volumes and control group", began)
	return nil
}

// removeTraces removes the pod's containers, sandboxes, logs and folder.
func (w *Worker) removeTraces(ctx context.Context, pod *v1.Pod) error {
	began := time.Now()
	sandboxes, err := w.host.Runtime.ListPodSandbox(ctx, &runtimeapi.PodSandboxFilter{LabelSelector: cri.ByPod(pod.UID)})
	if err != nil {
		return fmt.Errorf("list sandboxes: %w", err)
	}
	containers, err := w.host.Runtime.ListContainers(ctx, &runtimeapi.ContainerFilter{LabelSelector: cri.ByPod(pod.UID)})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, c := range containers {
		w.unlinkLog(pod, c.GetLabels()[cri.LabelContainerName], c.GetId())
	}
	// Removing a sandbox removes its containers too.
	for _, s := range sandboxes {
		if err := w.host.Runtime.RemovePodSandbox(ctx, s.GetId()); err != nil && !cri.IsNotFound(err) {
			return fmt.Errorf("remove sandbox %s: %w", s.GetId(), err)
		}
	}
	if err := os.RemoveAll(w.host.Node.LogDir(pod)); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	if err := RemovePodDir(w.host.Node.PodDir(pod.UID)); err != nil {
		return err
	}
	w.host.note(pod, "remove", "containers, logs and folder", began)
	return nil
}

// RemovePodDir removes a pod's folder, without ever descending into a volume: if
// one is left, it is an error and everything stays.
func RemovePodDir(dir string) error {
	for _, sub := range []string{"volumes", "volume-subpaths"} {
		left, err := filepath.Glob(filepath.Join(dir, sub, "*", "*"))
		if err != nil {
			return err
		}
		for _, path := range left {
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("a volume is left: %w", err)
			}
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("pod folder: %w", err)
	}
	return nil
}
