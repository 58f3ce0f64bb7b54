package pod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/image"
	"github.com/septet-io/septet/kubelet/spec"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Reasons why a container does not start, as its waiting state shows them.
const (
	reasonConfig    = "CreateContainerConfigError"
	reasonCreate    = "CreateContainerError"
	reasonRun       = "RunContainerError"
	reasonPostStart = "PostStartHookError"
)

// startError is why a container did not start.
type startError struct {
	reason string
	err    error
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// order is all that starting a container needs to know, taken together before the
// goroutine that does it begins.
type order struct {
	pod          *v1.Pod
	container    *v1.Container
	kind         spec.Kind
	sandbox      *cri.Sandbox
	config       *runtimeapi.PodSandboxConfig
	podIPs       []string
	volumes      map[string]spec.Volume
	groups       []int64
	idMaps       *spec.IDMaps
	handler      string
	restartCount int
	stale        []string // instances to be removed once the new one runs
	never        string   // an instance that was made but never started
	ended        *cri.Container
	target       string
	image        *prefetch
}

// startAll starts containers one after the other, beside everything else. One
// that fails does not keep the next from starting.
func (w *Worker) startAll(names []string) {
	orders := make([]*order, 0, len(names))
	for _, name := range names {
		o, err := w.order(name)
		if err != nil {
			w.notStarted(name, err)
			continue
		}
		w.busy[name] = true
		orders = append(orders, o)
	}
	if len(orders) == 0 {
		return
	}
	ctx := w.syncCtx
	w.ops.Add(1)
	go func() {
		defer w.ops.Done()
		for _, o := range orders {
			w.startOne(ctx, o)
		}
	}()
}

// order gathers what starting a container needs.
func (w *Worker) order(name string) (*order, error) {
	c, kind := spec.Find(w.pod, name)
	sandbox := w.runtime.Sandbox()
	if w.sandboxSpec == nil {
		// The agent was restarted since the sandbox was made.
		config, _, err := w.sandboxConfig(sandbox.Attempt)
		if err != nil {
			return nil, &startError{reasonConfig, err}
		}
		w.sandboxSpec = config
		if err := w.writeHosts(w.pod, sandbox); err != nil {
			return nil, &startError{reasonConfig, err}
		}
	}
	o := &order{
		pod: w.pod, container: c, kind: kind, sandbox: sandbox, config: w.sandboxSpec, podIPs: w.podIPs(),
		volumes: w.volumes, groups: w.groups, idMaps: w.idMaps, handler: w.handler, image: w.images[name],
	}
	delete(w.images, name)
	latest := w.runtime.Latest(name)
	if latest != nil {
		o.restartCount = latest.RestartCount + 1
		switch latest.State {
		case cri.Created:
			o.restartCount, o.never = latest.RestartCount, latest.ID
		case cri.Exited:
			o.ended = latest
		}
	} else if old := w.oldCount(name, kind); old > 0 {
		o.restartCount = old
	}
	o.stale = w.superseded(name)
	if kind == spec.Ephemeral {
		o.target = w.targetOf(name)
	}
	return o, nil
}

// oldCount is the restart count to go on from for a container without a trace.
func (w *Worker) oldCount(name string, kind spec.Kind) int {
	list := w.old.ContainerStatuses
	if kind == spec.Init {
		list = w.old.InitContainerStatuses
	}
	for i := range list {
		if list[i].Name == name {
			return int(list[i].RestartCount)
		}
	}
	return 0
}

// superseded are the instances of a container older than its last, whose log and
// state `kubectl logs --previous` still shows.
func (w *Worker) superseded(name string) []string {
	var ids []string
	seen := 0
	for _, c := range w.runtime.Containers {
		if c.Name != name {
			continue
		}
		if seen++; seen > 1 && c.State != cri.Running {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

func (w *Worker) targetOf(name string) string {
	for i := range w.pod.Spec.EphemeralContainers {
		e := &w.pod.Spec.EphemeralContainers[i]
		if e.Name != name || e.TargetContainerName == "" {
			continue
		}
		if target := w.runtime.Latest(e.TargetContainerName); target != nil {
			return target.ID
		}
	}
	return ""
}

// startOne starts a container and posts what came of it.
func (w *Worker) startOne(ctx context.Context, o *order) {
	name := o.container.Name
	began := time.Now()
	id, err := w.launch(ctx, o)
	if id != "" {
		// However it went, there is an instance now: look at it.
		w.running(ctx, o, id)
	}
	if err == nil {
		w.host.note(o.pod, "start container", name, began)
		err = w.postStart(ctx, o, id)
	}
	w.post(func() {
		delete(w.busy, name)
		if err == nil {
			delete(w.waiting, name)
			delete(w.retry, name)
			return
		}
		if id != "" {
			w.stale[id] = true
			w.refresh()
		}
		w.notStarted(name, err)
	})
}

// running posts that an instance exists, so that it shows at once and its probes
// begin, while a hook may still be under way.
func (w *Worker) running(ctx context.Context, o *order, id string) {
	found, err := w.host.Runtime.ContainerStatus(ctx, id, false)
	w.post(func() {
		name := o.container.Name
		if o.ended != nil {
			w.backoff[name] = w.backoff[name].Next(cri.Hash(o.container), o.ended.FinishedAt, w.host.LongestBackoff)
		}
		delete(w.resize.restart, name)
		if err != nil {
			w.stale[id] = true
			return
		}
		next := w.runtime.Clone()
		w.put(next, cri.ContainerOf(found.GetStatus(), o.sandbox.ID))
		for _, old := range o.stale {
			next.DropContainer(old)
		}
		w.runtime = next
		if state := next.ByID(id).State; state == cri.Running {
			delete(w.waiting, name)
		}
	})
	for _, old := range o.stale {
		w.removeContainer(ctx, o.pod, name(o), old)
	}
}

func name(o *order) string { return o.container.Name }

// launch makes a container and starts it; id is set as soon as it is made.
func (w *Worker) launch(ctx context.Context, o *order) (id string, err error) {
	pod, c := o.pod, o.container
	ref, img, err := w.image(ctx, o)
	if err != nil {
		w.host.event(pod, c.Name, v1.EventTypeWarning, "Failed", "Error: "+reasonOf(err))
		return "", err
	}
	config, err := w.containerConfig(ctx, o, ref, img)
	if err != nil {
		w.host.event(pod, c.Name, v1.EventTypeWarning, "Failed", "Error: "+err.Error())
		return "", &startError{reasonConfig, err}
	}
	if o.never != "" {
		w.removeContainer(ctx, pod, c.Name, o.never)
	}
	id, err = w.host.Runtime.CreateContainer(ctx, o.sandbox.ID, config, o.config)
	if err != nil {
		w.host.event(pod, c.Name, v1.EventTypeWarning, "Failed", "Error: "+message(err))
		return "", &startError{reasonCreate, errors.New(message(err))}
	}
	w.host.event(pod, c.Name, v1.EventTypeNormal, "Created", "Container created")
	if err = w.host.Runtime.StartContainer(ctx, id); err != nil {
		w.host.event(pod, c.Name, v1.EventTypeWarning, "Failed", "Error: "+message(err))
		return id, &startError{reasonRun, errors.New(message(err))}
	}
	w.host.event(pod, c.Name, v1.EventTypeNormal, "Started", "Container started")
	w.linkLog(o, id, config)
	return id, nil
}

// message is an error's text without gRPC's wrapping.
func message(err error) string { return status.Convert(err).Message() }

func reasonOf(err error) string {
	var failed *image.Error
	if errors.As(err, &failed) {
		return failed.Reason
	}
	return err.Error()
}

// containerConfig makes the container's configuration.
func (w *Worker) containerConfig(ctx context.Context, o *order, ref string, img *runtimeapi.Image) (*runtimeapi.ContainerConfig, error) {
	pod, c, h := o.pod, o.container, w.host
	env, err := spec.MakeEnv(ctx, pod, c, spec.EnvInput{
		Node: h.Node, Objects: h.Objects, Services: spec.ServiceEnv(pod, h.Services()), PodIPs: o.podIPs, Volumes: o.volumes,
	})
	if err != nil {
		return nil, err
	}
	for _, skipped := range env.Skipped {
		h.event(pod, c.Name, v1.EventTypeWarning, "InvalidEnvironmentVariableNames", skipped)
	}
	if err := os.MkdirAll(filepath.Join(h.Node.LogDir(pod), c.Name), 0o755); err != nil {
		return nil, fmt.Errorf("create log directory for container %s failed: %w", c.Name, err)
	}
	file, err := w.terminationFile(o)
	if err != nil {
		return nil, err
	}
	uid, user := spec.ImageUser(img)
	in := spec.ContainerInput{
		Node: h.Node, RestartCount: o.restartCount, ImageRef: ref, ImageUID: uid, ImageUser: user, Handler: o.handler,
		RecursiveReadOnly: h.Features(o.handler).RecursiveReadOnly, PodIPs: o.podIPs, Env: env, Volumes: o.volumes,
		IDMaps: o.idMaps, Groups: o.groups, TargetID: o.target, TerminationFile: file,
		SubPath: func(v spec.Volume, m *v1.VolumeMount, index int, path string) (string, error) {
			return h.Volumes.SubPath(pod.UID, c.Name, index, m.Name, v, path)
		},
	}
	if h.Devices != nil {
		given, err := h.Devices.Allocate(ctx, pod, c)
		if err != nil {
			return nil, err
		}
		if given != nil {
			in.Devices, in.CDIDevices, in.ExtraMounts, in.Annotations = given.Devices, given.CDIDevices, given.Mounts, given.Annotations
			for k, v := range given.Env {
				env.Set(k, v)
			}
		}
	}
	return spec.Container(pod, c, in)
}

// terminationFile makes the file for the container's termination message, which
// any user in the container may write.
func (w *Worker) terminationFile(o *order) (string, error) {
	if o.container.TerminationMessagePath == "" {
		return "", nil
	}
	dir := w.host.Node.ContainerDir(o.pod.UID, o.container.Name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("termination message: %w", err)
	}
	path := filepath.Join(dir, rand.String(8))
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return "", fmt.Errorf("termination message: %w", err)
	}
	// The process's umask must not take bits away.
	return path, os.Chmod(path, 0o666)
}

// notStarted shows why a container did not start, and when it is tried again.
func (w *Worker) notStarted(name string, err error) {
	if w.syncCtx.Err() != nil {
		return
	}
	at := time.Now().Add(retryContainer)
	why := v1.ContainerStateWaiting{Reason: reasonCreate, Message: err.Error()}
	var start *startError
	var failed *image.Error
	switch {
	case errors.As(err, &failed):
		why.Reason, why.Message, at = failed.Reason, failed.Message, failed.Retry
	case errors.As(err, &start):
		why.Reason = start.reason
	}
	w.waiting[name] = why
	if latest := w.runtime.Latest(name); why.Reason != reasonRun && why.Reason != reasonPostStart || latest == nil || latest.State == cri.Created {
		// Where an instance ran and ended, the crash loop's delay is the one that counts.
		w.retry[name] = at
	}
	klog.FromContext(w.ctx).V(1).Info("A container did not start", "container", name, "reason", why.Reason, "err", err)
}
