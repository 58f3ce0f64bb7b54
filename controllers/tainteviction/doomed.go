package tainteviction

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/reconcile"
)

// doomed remembers since when Pods have been on borrowed time. A change of the taints that leaves a Pod doomed does not give
// it more. As upstream's it is kept in memory: a new leader counts anew. The zero value is empty.
type doomed struct {
	mu sync.Mutex
	// pods is guarded by mu.
	pods map[reconcile.Key]term
}

type term struct {
	uid   types.UID
	since time.Time
}

// since returns when the Pod's time began: now, if it is not known yet.
func (d *doomed) since(key reconcile.Key, uid types.UID) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, found := d.pods[key]; found && known.uid == uid {
		return known.since
	}
	if d.pods == nil {
		d.pods = map[reconcile.Key]term{}
	}
	d.pods[key] = term{uid, time.Now()}
	return d.pods[key].since
}

// forget reports whether the Pod was on borrowed time; it is not any more.
func (d *doomed) forget(key reconcile.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, found := d.pods[key]
	delete(d.pods, key)
	return found
}
