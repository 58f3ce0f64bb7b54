package rest

import (
	"iter"
	"maps"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// Registry is all Resources that a server serves, by what URLs name. Reading takes no lock; the zero value is empty.
type Registry struct {
	mu      sync.Mutex // held while changing
	current atomic.Pointer[Resources]
}

// Resources is a state of a Registry. It never changes.
type Resources struct {
	// Revision grows with each change.
	Revision int64
	// Ordered is in the order of adding.
	Ordered []*Resource

	byName map[schema.GroupVersionResource]*Resource
	byKind map[schema.GroupVersionKind]*Resource
	// byRoot and byGroup have the forms of the same objects: by the kind that is stored, and by group and plural.
	byRoot  map[*resource.Kind][]*Resource
	byGroup map[schema.GroupResource][]*Resource
}

// All returns the current state.
func (g *Registry) All() *Resources {
	if all := g.current.Load(); all != nil {
		return all
	}
	return &Resources{}
}

// Get returns the Resource at a group, version and plural, nil if none is served there.
func (a *Resources) Get(gvr schema.GroupVersionResource) *Resource { return a.byName[gvr] }

// Shown are the Resources that clients see, in the order of adding.
func (a *Resources) Shown() iter.Seq[*Resource] {
	return func(yield func(*Resource) bool) {
		for _, r := range a.Ordered {
			if !r.Hidden && !yield(r) {
				return
			}
		}
	}
}

// Kind returns the Resource of a kind, nil if none is served.
func (a *Resources) Kind(gvk schema.GroupVersionKind) *Resource { return a.byKind[gvk] }

// Get returns the Resource at a group, version and plural, nil if none is served there.
func (g *Registry) Get(gvr schema.GroupVersionResource) *Resource { return g.All().Get(gvr) }

// Kind returns the definition of a served kind, nil if there is none.
func (g *Registry) Kind(gvk schema.GroupVersionKind) *resource.Kind {
	if r := g.All().Kind(gvk); r != nil {
		return r.Kind
	}
	return nil
}

// Change adds Resources, in place of those of the same name, and removes others, all at once.
func (g *Registry) Change(add []*Resource, remove []schema.GroupVersionResource) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.All()
	next := &Resources{Revision: old.Revision + 1, byName: maps.Clone(old.byName), byKind: map[schema.GroupVersionKind]*Resource{}}
	if next.byName == nil {
		next.byName = make(map[schema.GroupVersionResource]*Resource, len(add))
	}
	for _, gvr := range remove {
		delete(next.byName, gvr)
	}
	fresh := make([]*Resource, 0, len(add))
	for _, r := range add {
		if _, replaced := next.byName[r.Kind.Resource]; !replaced {
			fresh = append(fresh, r)
		}
		next.byName[r.Kind.Resource] = r
	}
	for _, r := range old.Ordered {
		if now := next.byName[r.Kind.Resource]; now != nil {
			next.Ordered = append(next.Ordered, now)
		}
	}
	next.Ordered = append(next.Ordered, fresh...)
	next.byRoot, next.byGroup = map[*resource.Kind][]*Resource{}, map[schema.GroupResource][]*Resource{}
	for _, r := range next.Ordered {
		next.byKind[r.GroupVersionKind] = r
		next.byRoot[root(r.Kind)] = append(next.byRoot[root(r.Kind)], r)
		next.byGroup[r.GroupResource()] = append(next.byGroup[r.GroupResource()], r)
	}
	g.current.Store(next)
}
