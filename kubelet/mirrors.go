package kubelet

import (
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/source"
)

// lookAtMirror makes the mirror of a static pod be there, and be gone with it. The
// lock is held.
func (k *Kubelet) lookAtMirror(name string) {
	var static *entry
	for _, e := range k.pods {
		if e.source != source.API && fullName(e.pod) == name && !e.removed {
			static = e
		}
	}
	mirror := k.mirrors[name]
	switch {
	case static == nil && mirror != nil:
		if k.staticSynced() {
			go k.dropMirror(mirror)
		}
	case static == nil:
	case mirror == nil:
		if k.synced[source.API] {
			go k.makeMirror(static.pod)
		}
	case !source.MirrorOf(static.pod, mirror) || mirror.DeletionTimestamp != nil:
		// It shows another manifest, or someone deleted it: the static pod is here
		// regardless, and gets another mirror once this one is gone.
		go k.dropMirror(mirror)
	default:
		go k.writer.Observe(k.ctx, static.pod.UID, mirror)
	}
}

// staticSynced says whether all sources of static pods have told of theirs: before
// that, a mirror without a pod may yet get one.
func (k *Kubelet) staticSynced() bool {
	c := k.config.Configuration
	return (c.StaticPodPath == "" || k.synced[source.File]) && (c.StaticPodURL == "" || k.synced[source.HTTP])
}

// makeMirror tries until the mirror is made or the pod is gone.
func (k *Kubelet) makeMirror(static *v1.Pod) {
	wait := 100 * time.Millisecond
	for k.ctx.Err() == nil {
		node := k.node.Get()
		if node == nil {
			select {
			case <-k.node.Synced():
			case <-k.ctx.Done():
			}
			continue
		}
		if !k.wantsMirror(static.UID) {
			return
		}
		err := source.CreateMirror(k.ctx, k.config.Client, static, node)
		if err == nil {
			return
		}
		klog.FromContext(k.ctx).V(1).Info("Could not make a mirror, trying again", "pod", klog.KObj(static), "err", err)
		select {
		case <-k.ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
}

func (k *Kubelet) wantsMirror(uid types.UID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.pods[uid]
	return e != nil && !e.removed && k.mirrors[fullName(e.pod)] == nil
}

func (k *Kubelet) dropMirror(mirror *v1.Pod) {
	if err := source.DeleteMirror(k.ctx, k.config.Client, mirror); err != nil && k.ctx.Err() == nil {
		klog.FromContext(k.ctx).Error(err, "Could not remove a mirror", "pod", klog.KObj(mirror))
	}
}
