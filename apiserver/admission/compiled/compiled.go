// Package compiled keeps what is made of all objects of a kind for as long as none of them changes: compiled webhooks, compiled policies.
// It looks at the server's own cache, so a change is in effect as soon as that knows of it, and to look costs an atomic load.
package compiled

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// List is one E for each object of a kind, in order of their names. The objects that have not changed keep theirs.
type List[E any] struct {
	// Open returns the kind's store.
	Open func() store.Store
	// Make compiles an object, which it must not change.
	Make func(resource.Object) E
	// Drop, if set, is told of what is no longer used by new requests.
	Drop func(E)

	current atomic.Pointer[made[E]]
	making  sync.Mutex
}

// made is what was made of a state. It never changes.
type made[E any] struct {
	state store.State
	all   []E
	by    map[*store.Item]E
}

// Get returns all. The slice must not be changed; the very same one is returned as long as nothing has changed. The first call
// waits until the objects have been read; an error is why they could not be.
func (l *List[E]) Get(ctx context.Context) ([]E, error) {
	state, err := l.Open().State(ctx)
	if err != nil {
		return nil, err
	}
	if m := l.current.Load(); m != nil && m.state == state {
		return m.all, nil
	}
	l.making.Lock()
	defer l.making.Unlock()
	old := l.current.Load()
	if old != nil && old.state == state {
		return old.all, nil
	}
	next := l.make(state, old)
	l.current.Store(next)
	return next.all, nil
}

func (l *List[E]) make(state store.State, old *made[E]) *made[E] {
	items := state.Items()
	next := &made[E]{state: state, all: make([]E, 0, len(items)), by: make(map[*store.Item]E, len(items))}
	for _, item := range items {
		var e E
		known := false
		if old != nil {
			e, known = old.by[item]
		}
		if !known {
			e = l.Make(item.Object)
		}
		next.by[item] = e
		next.all = append(next.all, e)
	}
	if old == nil || l.Drop == nil {
		return next
	}
	for item, e := range old.by {
		if _, still := next.by[item]; !still {
			l.Drop(e)
		}
	}
	return next
}
