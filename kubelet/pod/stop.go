package pod

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/spec"
)

// minGrace is the time that any container has between the signal to stop and the
// one to die, even if its hook used up all of its pod's.
const minGrace = 2 * time.Second

// defaultGrace in seconds is for pods that do not say theirs.
const defaultGrace int64 = 30

// graceOf returns how many seconds the pod has to stop: an override, what its
// deletion asked for, or its own.
func graceOf(pod *v1.Pod, override *int64) int64 {
	grace := defaultGrace
	switch {
	case override != nil:
		grace = *override
	case pod.DeletionTimestamp != nil && pod.DeletionGracePeriodSeconds != nil:
		grace = *pod.DeletionGracePeriodSeconds
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		grace = *pod.Spec.TerminationGracePeriodSeconds
	}
	return max(grace, 1)
}

// killOne stops one container, beside everything else; what then happens to it is
// another decision.
func (w *Worker) killOne(k Kill) {
	if w.busy[k.Name] {
		return
	}
	w.busy[k.Name] = true
	pod, view := w.pod, w.runtime
	w.ops.Add(1)
	go func() {
		defer w.ops.Done()
		grace := graceOf(pod, k.Grace)
		err := w.stopContainers(w.ctx, pod, view, []Kill{k}, grace)
		w.post(func() {
			delete(w.busy, k.Name)
			w.stale[k.ID] = true
			if err != nil {
				w.at(time.Now().Add(time.Second))
			}
			w.refresh()
		})
	}()
}

// stopContainers stops containers side by side, within grace seconds, and waits
// for it. Sidecars stop after the others, the last first. Nothing is done for a
// container whose context ended: another, shorter stop follows.
func (w *Worker) stopContainers(ctx context.Context, pod *v1.Pod, view *cri.Pod, kills []Kill, grace int64) error {
	turns := newTurns(pod, kills)
	errs := make([]error, len(kills))
	var group sync.WaitGroup
	for i, k := range kills {
		group.Go(func() {
			defer turns.over(k.Name)
			errs[i] = w.stopContainer(ctx, pod, view.ByID(k.ID), k, time.Duration(grace)*time.Second, turns)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func (w *Worker) stopContainer(ctx context.Context, pod *v1.Pod, running *cri.Container, k Kill, grace time.Duration, turns *turns) error {
	deadline := time.Now().Add(grace)
	text := k.Message
	if text == "" {
		text = "Stopping container " + k.Name
	}
	w.host.event(pod, k.Name, v1.EventTypeNormal, "Killing", text)
	began := time.Now()
	if hook, c := preStop(pod, running, k.Name); hook != nil {
		bounded, cancel := context.WithDeadline(ctx, deadline)
		err := w.hook(bounded, pod, c, k.ID, hook)
		cancel()
		if err != nil {
			klog.FromContext(ctx).V(1).Info("A preStop hook failed", "container", k.Name, "err", err)
			w.host.event(pod, k.Name, v1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
		}
	}
	turns.wait(ctx, k.Name, deadline)
	left := max(time.Until(deadline), minGrace)
	if grace < minGrace {
		left = max(time.Until(deadline), 0)
	}
	err := w.host.Runtime.StopContainer(ctx, k.ID, left)
	if cri.IsNotFound(err) {
		err = nil
	}
	if err == nil {
		w.host.note(pod, "stop container", k.Name, began)
	}
	return err
}

// preStop returns the container's hook: the pod's, or for a pod that only the
// runtime remembers, the one in the container's annotations.
func preStop(pod *v1.Pod, running *cri.Container, name string) (*v1.LifecycleHandler, *v1.Container) {
	if c, _ := spec.Find(pod, name); c != nil {
		if c.Lifecycle == nil {
			return nil, nil
		}
		return c.Lifecycle.PreStop, c
	}
	if running == nil || running.Annotations[cri.AnnotationPreStop] == "" {
		return nil, nil
	}
	hook := &v1.LifecycleHandler{}
	c := &v1.Container{Name: name}
	if json.Unmarshal([]byte(running.Annotations[cri.AnnotationPreStop]), hook) != nil {
		return nil, nil // not written by a kubelet
	}
	if ports := running.Annotations[cri.AnnotationPorts]; ports != "" && json.Unmarshal([]byte(ports), &c.Ports) != nil {
		return nil, nil
	}
	return hook, c
}

// turns makes sidecars wait for those that they serve.
type turns struct {
	// after is what each sidecar waits for, done is closed when one has stopped.
	after map[string][]string
	done  map[string]chan struct{}
	once  map[string]*sync.Once
}

func newTurns(pod *v1.Pod, kills []Kill) *turns {
	t := &turns{after: map[string][]string{}, done: map[string]chan struct{}{}, once: map[string]*sync.Once{}}
	for _, k := range kills {
		t.done[k.Name], t.once[k.Name] = make(chan struct{}), &sync.Once{}
	}
	var later []string
	for i := range pod.Spec.Containers {
		later = append(later, pod.Spec.Containers[i].Name)
	}
	for i := len(pod.Spec.InitContainers) - 1; i >= 0; i-- {
		if c := &pod.Spec.InitContainers[i]; spec.Sidecar(c) {
			t.after[c.Name] = append([]string(nil), later...)
			later = append(later, c.Name)
		}
	}
	return t
}

func (t *turns) over(name string) { t.once[name].Do(func() { close(t.done[name]) }) }

func (t *turns) wait(ctx context.Context, name string, deadline time.Time) {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for _, other := range t.after[name] {
		done, stopping := t.done[other]
		if !stopping {
			continue
		}
		select {
		case <-done:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
