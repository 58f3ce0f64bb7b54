// Package reconcile runs controllers: it owns the informers' handlers, the queue, backoff, workers, panics,
// metrics, journal records and the election of a leader, so that a controller is only its decision and its writes.
package reconcile

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// Key names the object to reconcile. Cluster-scoped objects have no Namespace. Controllers that
// reconcile one fixed thing use a Key with a Name of their own choice.
type Key = types.NamespacedName

// Result says what is to happen after a Reconcile that succeeded.
type Result struct {
	// After, when positive, reconciles the key again after that time, unless something else does earlier.
	After time.Duration
}

// waiting is the error of a Reconcile that has done what it could.
type waiting struct{ error }

// Wait returns an error that makes a key be tried again with backoff, without being taken for a failure: what is waited for
// tells nobody when it comes.
func Wait(format string, args ...any) error { return waiting{fmt.Errorf(format, args...)} }

// Watch says which events of one informer wake a controller, and for which keys.
type Watch struct {
	// Informer is started by whoever runs the controllers; the Runner waits until it is in sync before workers start.
	Informer cache.SharedIndexInformer
	// Keys maps an event to the keys to reconcile; nil enqueues the object's own key.
	// old is nil on add, obj is nil on delete (old is then the last state known). Objects are shared: never change them.
	// It must be quick: all controllers of a Runner share one line of events per informer.
	Keys func(old, obj any) []Key
	// Later, when set, delays the keys of an event; zero adds them at once. For events that come in bursts.
	Later func(old, obj any) time.Duration
}

// Controller is one control loop: Reconcile is called with each key that a Watch enqueued, never
// concurrently for the same key, again with exponential backoff when it returns an error.
type Controller struct {
	// Name is upstream's controller name, for example "deployment-controller".
	Name string
	// Queue is the name label of upstream's workqueue metrics, for example "deployment"; Name if empty.
	Queue string
	// Kind of the objects that keys name, for the journal: "Deployment".
	Kind string
	// Workers is the number of keys reconciled at the same time; 1 if not positive.
	Workers int
	Watches []Watch
	// Synced are further informers that must be in sync before workers start, though none of their events wakes this controller.
	Synced []cache.SharedIndexInformer
	// Reconcile brings the world of one key closer to what is wanted. It must be idempotent.
	Reconcile func(ctx context.Context, key Key) (Result, error)
	// Start, when set, is called once before the workers, with caches synced: for expectations to
	// rebuild or a first full pass. It may enqueue, then and later from goroutines that end with ctx.
	// It is called again with backoff when it returns an error.
	Start func(ctx context.Context, enqueue func(Key)) error
	// Backoff bounds the retries of a failing key: base delay and cap; zero means 5 ms and 1000 s as upstream.
	Backoff Backoff
}

// Backoff is the range of delays between the retries of a failing key; each failure doubles the delay.
type Backoff struct{ Base, Max time.Duration }

// backoff returns the controller's range with upstream's defaults filled in.
func (c *Controller) backoff() Backoff {
	b := c.Backoff
	if b.Base <= 0 {
		b.Base = 5 * time.Millisecond
	}
	if b.Max <= 0 {
		b.Max = 1000 * time.Second
	}
	return b
}

// queue returns the name under which the controller's queue is measured.
func (c *Controller) queue() string {
	if c.Queue != "" {
		return c.Queue
	}
	return c.Name
}

// ObjectKey returns the key of an API object, or of the tombstone that an informer leaves of one.
// The second result is false for anything else.
func ObjectKey(obj any) (Key, bool) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	named, ok := obj.(interface {
		GetNamespace() string
		GetName() string
	})
	if !ok {
		return Key{}, false
	}
	return Key{Namespace: named.GetNamespace(), Name: named.GetName()}, true
}

// Of adapts a typed mapping to Watch.Keys. The zero value of T stands for "was not" or "is no more".
func Of[T any](keys func(old, obj T) []Key) func(old, obj any) []Key {
	return func(old, obj any) []Key {
		before, okBefore := old.(T)
		after, okAfter := obj.(T)
		if !okBefore && !okAfter {
			return nil
		}
		return keys(before, after)
	}
}

// Each adapts a mapping of single objects to Watch.Keys: it is asked for the old and the new state, and both answers count.
func Each[T any](keys func(obj T) []Key) func(old, obj any) []Key {
	return func(old, obj any) []Key {
		var all []Key
		if before, ok := old.(T); ok {
			all = keys(before)
		}
		if after, ok := obj.(T); ok {
			for _, key := range keys(after) {
				if !contains(all, key) {
					all = append(all, key)
				}
			}
		}
		return all
	}
}

func contains(keys []Key, key Key) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}
