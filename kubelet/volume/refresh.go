package volume

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/volume/objects"
)

// stopper is a timer that may not have been started.
type stopper struct{ timer *time.Timer }

func (s *stopper) stop() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// refreshTimeout bounds one rewriting of a Pod's files.
const refreshTimeout = 2 * time.Minute

// use notes which objects a Pod reads, and keeps watching exactly those. The Pod's lock is held.
func (v *Volumes) use(pod types.UID, p *podVolumes, keys []objects.Key) {
	wanted := make(map[objects.Key]bool, len(keys))
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, key := range keys {
		wanted[key] = true
		if v.users[key] == nil {
			v.users[key] = map[types.UID]bool{}
		}
		if !v.users[key][pod] {
			v.users[key][pod] = true
			v.objects.Acquire(key)
		}
	}
	for _, key := range p.keys {
		if !wanted[key] {
			v.drop(key, pod)
		}
	}
	p.keys = keys
}

// drop ends one use. v.mu is held.
func (v *Volumes) drop(key objects.Key, pod types.UID) {
	if !v.users[key][pod] {
		return
	}
	delete(v.users[key], pod)
	if len(v.users[key]) == 0 {
		delete(v.users, key)
	}
	v.objects.Release(key)
}

// objectChanged rewrites the volumes of all Pods that read the object.
func (v *Volumes) objectChanged(key objects.Key) {
	v.mu.Lock()
	pods := make([]types.UID, 0, len(v.users[key]))
	for pod := range v.users[key] {
		pods = append(pods, pod)
	}
	v.mu.Unlock()
	for _, pod := range pods {
		v.refresh(pod)
	}
}

// refresh rewrites what the agent wrote for a Pod, where it differs from what it should now be.
func (v *Volumes) refresh(uid types.UID) {
	v.mu.Lock()
	p := v.pods[uid]
	v.mu.Unlock()
	if p == nil {
		return
	}
	if p.rewrite(v) && v.config.Changed != nil {
		v.config.Changed(uid)
	}
}

// rewrite does refresh's work and says whether a Mount that failed is worth another try.
func (p *podVolumes) rewrite(v *Volumes) (retry bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || p.pod == nil {
		return false
	}
	if p.failed {
		return true // the caller of Mount is waiting to call it again; it does all of it
	}
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	if err := v.mountAll(ctx, p, used(p.pod)); err != nil {
		klog.ErrorS(err, "Volume contents could not be brought up to date", "pod", klog.KObj(p.pod))
	}
	return false
}

// scheduleRefresh sets the timer for the next token that has to be renewed. The Pod's lock is held.
func (v *Volumes) scheduleRefresh(p *podVolumes) {
	p.refresh.stop()
	next := p.nextRenewal()
	if next.IsZero() {
		return
	}
	uid := p.pod.UID
	p.refresh.timer = time.AfterFunc(max(time.Until(next), time.Second), func() { v.refresh(uid) })
}
