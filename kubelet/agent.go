package kubelet

import (
	"context"
	"fmt"
	"sort"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/pod"
	"github.com/septet-io/septet/kubelet/server"
	"github.com/septet-io/septet/kubelet/spec"
)

var _ server.Agent = (*Kubelet)(nil)

// Pods implements server.Agent.
func (k *Kubelet) Pods() []*v1.Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]*v1.Pod, 0, len(k.pods))
	for _, e := range k.pods {
		if e.worker != nil && !(e.removed && e.rejected) {
			out = append(out, withStatus(e))
		}
	}
	sort.Slice(out, func(i, j int) bool { return fullName(out[i]) < fullName(out[j]) })
	return out
}

// withStatus is the pod with the status that this node has for it.
func withStatus(e *entry) *v1.Pod {
	shown := *e.pod
	if s := e.worker.View().Status; s != nil {
		shown.Status = *s
	}
	return &shown
}

// RunningPods implements server.Agent.
func (k *Kubelet) RunningPods(ctx context.Context) ([]*v1.Pod, error) {
	found, err := cri.InspectAll(ctx, k.runtime)
	if err != nil {
		return nil, err
	}
	var out []*v1.Pod
	for _, p := range found {
		shown := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, UID: p.UID}}
		for _, c := range p.Containers {
			if c.State == cri.Running {
				shown.Spec.Containers = append(shown.Spec.Containers, v1.Container{Name: c.Name, Image: c.Image})
			}
		}
		if len(shown.Spec.Containers) > 0 {
			out = append(out, shown)
		}
	}
	sort.Slice(out, func(i, j int) bool { return fullName(out[i]) < fullName(out[j]) })
	return out, nil
}

// Pod implements server.Agent.
func (k *Kubelet) Pod(namespace, name string, uid types.UID) (*v1.Pod, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if mirror := k.mirrors[namespace+"/"+name]; mirror != nil && uid == mirror.UID {
		uid = ""
	}
	for _, e := range k.pods {
		if e.worker != nil && e.pod.Namespace == namespace && e.pod.Name == name && (uid == "" || e.pod.UID == uid) {
			return withStatus(e), true
		}
	}
	return nil, false
}

func (k *Kubelet) view(p *v1.Pod) (pod.View, error) {
	w := k.worker(p.UID)
	if w == nil {
		return pod.View{}, fmt.Errorf("pod %q not found", p.Name)
	}
	return w.View(), nil
}

// ContainerID implements server.Agent.
func (k *Kubelet) ContainerID(_ context.Context, p *v1.Pod, container string) (string, error) {
	v, err := k.view(p)
	if err != nil {
		return "", err
	}
	if latest := v.Runtime.Latest(container); latest != nil && latest.State == cri.Running {
		return latest.ID, nil
	}
	return "", fmt.Errorf("container not found (%q)", container)
}

// SandboxID implements server.Agent.
func (k *Kubelet) SandboxID(_ context.Context, p *v1.Pod) (string, error) {
	v, err := k.view(p)
	if err != nil {
		return "", err
	}
	if s := v.Runtime.Sandbox(); s != nil && s.Ready {
		return s.ID, nil
	}
	return "", fmt.Errorf("sandbox of pod %q not found", p.Name)
}

// Log implements server.Agent.
func (k *Kubelet) Log(ctx context.Context, p *v1.Pod, container string, previous bool) (server.Log, error) {
	v, err := k.view(p)
	if err != nil {
		return server.Log{}, err
	}
	if c, _ := spec.Find(p, container); c == nil {
		return server.Log{}, fmt.Errorf("container %q in pod %q is not available", container, p.Name)
	}
	latest := v.Runtime.Latest(container)
	if previous {
		// While it waits to start again, the instance that ended is still the last.
		if waitingReason(v, container) == "" || latest == nil || latest.State != cri.Exited {
			latest = v.Runtime.Previous(container)
		}
		if latest == nil {
			return server.Log{}, fmt.Errorf("previous terminated container %q in pod %q not found", container, p.Name)
		}
	}
	switch {
	case latest == nil && waitingReason(v, container) != "":
		return server.Log{}, fmt.Errorf("container %q in pod %q is waiting to start: %s", container, p.Name, waitingReason(v, container))
	case latest == nil:
		return server.Log{}, fmt.Errorf("container %q in pod %q is not available", container, p.Name)
	case latest.State == cri.Running:
		return server.Log{Path: latest.LogPath, Stopped: k.stopped(ctx, p.UID, latest.ID)}, nil
	}
	return server.Log{Path: latest.LogPath}, nil
}

// waitingReason is what a container waits for, for people.
func waitingReason(v pod.View, container string) string {
	if v.Status == nil {
		return ""
	}
	for _, list := range [][]v1.ContainerStatus{v.Status.InitContainerStatuses, v.Status.ContainerStatuses, v.Status.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name != container || list[i].State.Waiting == nil {
				continue
			}
			w := list[i].State.Waiting
			switch w.Reason {
			case "ErrImagePull", "ImagePullBackOff":
				if w.Reason == "ErrImagePull" {
					return "image can't be pulled"
				}
				return "trying and failing to pull image"
			}
			return w.Reason
		}
	}
	return ""
}

// stopped returns a channel that is closed when the container has exited.
func (k *Kubelet) stopped(ctx context.Context, uid types.UID, id string) <-chan struct{} {
	done := make(chan struct{})
	w := k.worker(uid)
	if w == nil {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		w.WaitExit(ctx, id)
	}()
	return done
}
