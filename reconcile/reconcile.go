// Package reconcile runs controllers: it owns the informers' handlers, the queue, backoff, workers, panics,
// metrics and journal records, so that a controller is only its decision and its writes.
package reconcile

import (
	"context"
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

// Watch says which events of one informer wake a controller, and for which keys.
type Watch struct {
	// Informer is started and synced by whoever runs the controllers, before workers start.
	Informer cache.SharedIndexInformer
	// Keys maps an event to the keys to reconcile; nil enqueues the object's own key.
	// old is nil on add, obj is nil on delete (old is then the last state known). Objects are shared: never change them.
	Keys func(old, obj any) []Key
}

// Controller is one control loop: Reconcile is called with each key that a Watch enqueued, never
// concurrently for the same key, again with exponential backoff when it returns an error.
type Controller struct {
	// Name is upstream's controller name, for example "deployment-controller".
	Name    string
	Workers int
	Watches []Watch
	// Reconcile brings the world of one key closer to what is wanted. It must be idempotent.
	Reconcile func(ctx context.Context, key Key) (Result, error)
	// Start, when set, is called once before the workers, with caches synced: for expectations to
	// rebuild or a first full pass. It may enqueue.
	Start func(ctx context.Context, enqueue func(Key)) error
	// Backoff bounds the retries of a failing key: base delay and cap; zero means 5 ms and 1000 s as upstream.
	Backoff struct{ Base, Max time.Duration }
}
