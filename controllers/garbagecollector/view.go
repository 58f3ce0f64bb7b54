package garbagecollector

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// View is what the graph knows about one object, as a copy.
type View struct {
	Identity
	// Resource is nil for a virtual object.
	Resource                        *Resource
	Deleting, Foreground, Orphaning bool
	Dependents                      []Dependent
}

// Dependent is an object that refers to another as its owner.
type Dependent struct {
	Identity
	Resource *Resource
	// Blocks says that the owner's foreground deletion waits for it. Foreground says that it is going that way itself.
	Blocks, Foreground bool
}

// At returns the state of one object; false if the graph does not know it.
func (g *Graph) At(uid types.UID) (View, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[uid]
	if n == nil {
		return View{}, false
	}
	view := View{Identity: n.Identity, Resource: n.resource, Deleting: n.deleting, Foreground: n.foreground, Orphaning: n.orphaning}
	for dependent := range n.dependents {
		d := Dependent{Identity: dependent.Identity, Resource: dependent.resource, Foreground: dependent.foreground}
		for _, ref := range dependent.owners {
			if ref.UID == uid && blocks(ref) {
				d.Blocks = true
			}
		}
		view.Dependents = append(view.Dependents, d)
	}
	return view, true
}

// Knows reports whether the object that a reference by an object in the given namespace means has been observed, and
// whether it waits for its dependents. A no says nothing: the watch may be late.
func (g *Graph) Knows(ref metav1.OwnerReference, namespace string) (known, foreground bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[ref.UID]
	if n == nil || n.virtual() || !n.meant(ref, namespace) {
		return false, false
	}
	return true, n.foreground
}
