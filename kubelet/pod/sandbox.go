package pod

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/spec"
	"github.com/septet-io/septet/kubelet/status"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// sandboxConfig makes the configuration of the pod's sandbox.
func (w *Worker) sandboxConfig(attempt uint32) (*runtimeapi.PodSandboxConfig, []spec.Warning, error) {
	return spec.Sandbox(w.pod, spec.SandboxInput{
		Node: w.host.Node, Attempt: attempt, CgroupParent: w.cgroup, IDMaps: w.idMaps, Groups: w.groups,
	})
}

// createSandbox stops what is left of an old sandbox and makes a new one.
func (w *Worker) createSandbox(a Actions) {
	if !w.may("sandbox") {
		return
	}
	config, warnings, err := w.sandboxConfig(a.Attempt)
	for _, warning := range warnings {
		w.host.event(w.pod, "", v1.EventTypeWarning, warning.Reason, warning.Message)
	}
	if err != nil {
		w.sandboxFailed(w.pod, fmt.Errorf("failed to generate sandbox config for pod %q: %w", identity(w.pod), err))
		return
	}
	if a.Changed {
		w.host.event(w.pod, "", v1.EventTypeNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
	}
	w.sandboxBusy = true
	w.sandboxSpec = config
	w.prefetch()
	pod, old, ctx, handler := w.pod, w.runtime, w.syncCtx, w.handler
	w.ops.Add(1)
	go func() {
		defer w.ops.Done()
		began := time.Now()
		if a.Changed {
			w.stopOld(ctx, pod, old)
		}
		sandbox, err := w.runSandbox(ctx, pod, config, handler)
		if err == nil {
			w.host.note(pod, "run sandbox", fmt.Sprint(sandbox.IPs), began)
		}
		w.post(func() {
			w.sandboxBusy = false
			if err != nil {
				w.sandboxFailed(pod, err)
				return
			}
			delete(w.retries, "sandbox")
			next := w.runtime.Clone()
			next.PutSandbox(sandbox)
			w.runtime = next
			if a.Changed {
				w.staleAll = true
				w.refresh()
			}
		})
	}()
}

// sandboxFailed tells of a failed sandbox; another attempt follows.
func (w *Worker) sandboxFailed(pod *v1.Pod, err error) {
	if w.syncCtx.Err() != nil {
		return
	}
	w.host.event(pod, "", v1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: "+err.Error())
	klog.FromContext(w.ctx).V(1).Info("Could not create a pod's sandbox", "err", err)
	w.failed("sandbox", retryFirst, retrySandbox)
	w.staleAll = true
	w.may("sandbox")
}

func (w *Worker) runSandbox(ctx context.Context, pod *v1.Pod, config *runtimeapi.PodSandboxConfig, handler string) (*cri.Sandbox, error) {
	id, err := w.host.Runtime.RunPodSandbox(ctx, config, handler)
	if err != nil {
		return nil, err
	}
	found, err := w.host.Runtime.PodSandboxStatus(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", id, err)
	}
	sandbox := cri.SandboxOf(found)
	if !pod.Spec.HostNetwork && len(sandbox.IPs) == 0 {
		return nil, fmt.Errorf("the runtime gave sandbox %s no address", id)
	}
	return sandbox, w.writeHosts(pod, sandbox)
}

// writeHosts writes the hosts file that the pod's containers share. It is changed
// in place: a running container has the file itself mounted.
func (w *Worker) writeHosts(pod *v1.Pod, sandbox *cri.Sandbox) error {
	view := &cri.Pod{Sandboxes: []*cri.Sandbox{sandbox}}
	content, err := spec.EtcHosts(pod, status.PodIPs(pod, view, w.hostIPs()), w.host.Node)
	if err != nil {
		return err
	}
	path := w.host.Node.EtcHosts(pod.UID)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(content) {
		return nil
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("hosts file: %w", err)
	}
	if w.idMaps != nil && len(w.idMaps.UIDs) > 0 && len(w.idMaps.GIDs) > 0 {
		return os.Chown(path, int(w.idMaps.UIDs[0].HostID), int(w.idMaps.GIDs[0].HostID))
	}
	return nil
}

// stopOld stops what is left of earlier sandboxes and their containers.
func (w *Worker) stopOld(ctx context.Context, pod *v1.Pod, old *cri.Pod) {
	var kills []Kill
	for _, c := range old.Containers {
		if c.State == cri.Running || c.State == cri.Unknown {
			kills = append(kills, Kill{Name: c.Name, ID: c.ID})
		}
	}
	w.stopContainers(ctx, pod, old, kills, graceOf(pod, nil))
	for i, s := range old.Sandboxes {
		if err := w.host.Runtime.StopPodSandbox(ctx, s.ID); err != nil {
			klog.FromContext(ctx).V(1).Info("Could not stop a pod's old sandbox", "sandbox", s.ID, "err", err)
			continue
		}
		if i > 0 && !holds(old, s.ID) {
			// Older than the last and without containers that a user may want to see.
			if err := w.host.Runtime.RemovePodSandbox(ctx, s.ID); err != nil {
				klog.FromContext(ctx).V(1).Info("Could not remove a pod's old sandbox", "sandbox", s.ID, "err", err)
			}
		}
	}
}

func holds(p *cri.Pod, sandboxID string) bool {
	for _, c := range p.Containers {
		if c.SandboxID == sandboxID {
			return true
		}
	}
	return false
}
