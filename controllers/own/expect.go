// Package own is how controllers hold what belongs to them: which objects are theirs by controllerRef and
// selector, adopting and releasing them, and remembering writes that the cache has not shown yet.
package own

import (
	"sync"
	"time"

	"github.com/septet-io/septet/reconcile"
)

// expiry is how long a write is waited for in the cache before the controller believes the cache again.
const expiry = 5 * time.Minute

// Expectations remembers, per owner, the creations and deletions that were asked for and that the informer has not
// delivered, so that a controller does not create a second time what it only does not see yet. Safe for concurrent use.
type Expectations struct {
	mu     sync.Mutex
	owners map[reconcile.Key]*expected
}

type expected struct {
	creations int
	deletions map[string]struct{} // by the object's UID
	since     time.Time
}

// NewExpectations returns an empty memory.
func NewExpectations() *Expectations {
	return &Expectations{owners: map[reconcile.Key]*expected{}}
}

// Creations says that n objects are about to be created. It must be called before the first write.
func (e *Expectations) Creations(owner reconcile.Key, n int) {
	e.change(owner, true, func(x *expected) { x.creations += n })
}

// Deletions says that the objects with these UIDs are about to be deleted. It must be called before the first write.
func (e *Expectations) Deletions(owner reconcile.Key, uids ...string) {
	e.change(owner, true, func(x *expected) {
		for _, uid := range uids {
			x.deletions[uid] = struct{}{}
		}
	})
}

// Created says that one creation was seen, or failed.
func (e *Expectations) Created(owner reconcile.Key) { e.NotCreated(owner, 1) }

// NotCreated takes back n creations that will not happen.
func (e *Expectations) NotCreated(owner reconcile.Key, n int) {
	e.change(owner, false, func(x *expected) { x.creations = max(0, x.creations-n) })
}

// Deleted says that a deletion was seen (the object is gone or going), or failed.
func (e *Expectations) Deleted(owner reconcile.Key, uid string) {
	e.change(owner, false, func(x *expected) { delete(x.deletions, uid) })
}

// Forget drops everything known of an owner that is gone.
func (e *Expectations) Forget(owner reconcile.Key) {
	e.mu.Lock()
	delete(e.owners, owner)
	e.mu.Unlock()
}

// Satisfied reports whether the cache has caught up with all that was asked for, and if not, how long to wait
// at most before believing it anyway.
func (e *Expectations) Satisfied(owner reconcile.Key) (bool, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.owners[owner]
	if x == nil {
		return true, 0
	}
	left := expiry - time.Since(x.since)
	if left <= 0 || (x.creations == 0 && len(x.deletions) == 0) {
		delete(e.owners, owner)
		return true, 0
	}
	return false, left
}

func (e *Expectations) change(owner reconcile.Key, begin bool, do func(*expected)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.owners[owner]
	if x == nil {
		if !begin {
			return
		}
		x = &expected{deletions: map[string]struct{}{}}
		e.owners[owner] = x
	}
	if begin {
		x.since = time.Now()
	}
	do(x)
}
