// Package garbagecollector deletes objects whose owners are gone, in the order that deletion policies ask for. A graph of who
// owns whom (graph.go, pure) is fed by watches of every deletable resource (watch.go); it names the objects to look at, and
// each is looked at in the API itself before anything is done to it (collect.go, orphan.go).
package garbagecollector

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/reconcile"
)

type controller struct {
	client *client.Set
	events record.EventRecorder
	graph  *Graph
	absent absent

	mu       sync.Mutex
	enqueue  func(reconcile.Key)
	kinds    map[groupKind]*Resource // every kind served, in the version that discovery prefers
	monitors map[Resource]*monitor
	again    chan struct{} // asks for discovery
}

// groupKind names a kind without a version: an owner may be referred to by any.
type groupKind struct{ Group, Kind string }

// New returns the garbage collector. Its keys are UIDs, in Key.Name.
func New(set *client.Set, events record.EventRecorder, workers int) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events, graph: NewGraph(),
		kinds: map[groupKind]*Resource{}, monitors: map[Resource]*monitor{}, again: make(chan struct{}, 1),
	}
	return reconcile.Controller{
		Name: "garbage-collector-controller", Queue: "garbage_collector_attempt_to_delete", Workers: workers,
		Start:     c.start,
		Reconcile: c.reconcile,
	}, nil
}

// look enqueues objects by UID.
func (c *controller) look(uids []types.UID) {
	if len(uids) == 0 {
		return
	}
	c.mu.Lock()
	enqueue := c.enqueue
	c.mu.Unlock()
	for _, uid := range uids {
		enqueue(reconcile.Key{Name: string(uid)})
	}
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	view, found := c.graph.At(types.UID(key.Name))
	switch {
	case !found:
		return reconcile.Result{}, nil
	case view.Resource == nil:
		return reconcile.Result{}, c.verify(ctx, view.Identity)
	case view.Orphaning:
		return reconcile.Result{}, c.orphan(ctx, view)
	case view.Foreground:
		return reconcile.Result{}, c.finish(ctx, view)
	case view.Deleting:
		return reconcile.Result{}, nil // it goes already
	}
	return reconcile.Result{}, c.collect(ctx, view)
}

// absentSize bounds the memory of absent owners: many dependents of one come at once, so few suffice.
const absentSize = 512

// absent remembers owners that were found not to exist, so that each of many dependents need not ask. A UID never
// comes back, so it cannot be wrong.
type absent struct {
	mu    sync.Mutex
	known map[Identity]struct{}
	order []Identity
}

func (a *absent) add(id Identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, found := a.known[id]; found {
		return
	}
	if a.known == nil {
		a.known = map[Identity]struct{}{}
	}
	if len(a.order) == absentSize {
		delete(a.known, a.order[0])
		a.order = a.order[1:]
	}
	a.known[id] = struct{}{}
	a.order = append(a.order, id)
}

func (a *absent) has(id Identity) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, found := a.known[id]
	return found
}
