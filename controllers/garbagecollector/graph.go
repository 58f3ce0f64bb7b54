package garbagecollector

import (
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Resource is a kind of object that can own or be owned.
type Resource struct {
	schema.GroupVersionResource
	Kind       string
	Namespaced bool
}

// Identity says which object a node stands for, or which one an ownerReference claims it does.
type Identity struct {
	Group, Kind, Namespace, Name string
	UID                          types.UID
}

// node is an object in the graph. A virtual one is known only from the references of its dependents.
type node struct {
	Identity
	resource   *Resource // nil while virtual
	owners     []metav1.OwnerReference
	dependents map[*node]struct{} // made with the first
	deleting   bool
	foreground bool // deleting, and waits until blocking dependents are gone
	orphaning  bool // deleting, and its dependents are to lose their reference first
}

func (n *node) virtual() bool { return n.resource == nil }

// Graph is who owns whom among all objects of a cluster. It holds names and references only. It is fed with what
// watches tell, and answers each change with the UIDs of the objects to look at. Safe for concurrent use.
type Graph struct {
	mu    sync.Mutex
	nodes map[types.UID]*node
}

// NewGraph returns an empty graph.
func NewGraph() *Graph { return &Graph{nodes: map[types.UID]*node{}} }

// Observe records an object's current state. strays are owners (by UID) that the object refers to though they live in another namespace.
func (g *Graph) Observe(resource *Resource, object metav1.Object) (look []types.UID, strays []Identity) {
	g.mu.Lock()
	defer g.mu.Unlock()
	uid := object.GetUID()
	n := g.nodes[uid]
	fresh := n == nil
	if fresh {
		n = &node{}
		g.nodes[uid] = n
	}
	was := n.Identity
	wasVirtual := fresh || n.virtual()
	n.resource = resource
	n.Identity = Identity{Group: resource.Group, Kind: resource.Kind, Namespace: object.GetNamespace(), Name: object.GetName(), UID: uid}
	if wasVirtual && !fresh && was != n.Identity {
		look = append(look, g.mistaken(n)...)
	}
	look = append(look, g.relink(n, object.GetOwnerReferences(), &strays)...)
	look = append(look, n.transition(object)...)
	return look, strays
}

// mistaken returns the dependents whose reference names the right UID but not the object that has it.
func (g *Graph) mistaken(n *node) (look []types.UID) {
	for dependent := range n.dependents {
		for _, ref := range dependent.owners {
			if ref.UID == n.UID && !n.meant(ref, dependent.Namespace) {
				look = append(look, dependent.UID)
			}
		}
	}
	return look
}

// meant reports whether a reference by an object in the given namespace names this very node. Cluster-scoped owners
// may be referred to from any namespace; the version of the API does not matter.
func (n *node) meant(ref metav1.OwnerReference, namespace string) bool {
	return ref.Kind == n.Kind && ref.Name == n.Name && groupOf(ref) == n.Group && (n.Namespace == "" || n.Namespace == namespace)
}

func groupOf(ref metav1.OwnerReference) string {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return ref.APIVersion
	}
	return gv.Group
}

// relink replaces a node's owners. Owners that wait for their dependents are looked at when a reference that blocked them goes.
func (g *Graph) relink(n *node, owners []metav1.OwnerReference, strays *[]Identity) (look []types.UID) {
	before := n.owners
	n.owners = owners
	for _, ref := range before {
		i := slices.IndexFunc(owners, func(r metav1.OwnerReference) bool { return r.UID == ref.UID })
		unblocked := blocks(ref) && (i < 0 || !blocks(owners[i]))
		owner := g.nodes[ref.UID]
		if owner == nil {
			continue
		}
		if i < 0 {
			delete(owner.dependents, n)
		}
		if unblocked && owner.foreground {
			look = append(look, owner.UID)
		}
	}
	for _, ref := range owners {
		if !slices.ContainsFunc(before, func(r metav1.OwnerReference) bool { return r.UID == ref.UID }) {
			look = append(look, g.link(n, ref, strays)...)
		}
	}
	return look
}

// link adds a node to the dependents of an owner, making up a virtual owner if that is not known: looking at it
// shows whether it exists.
func (g *Graph) link(n *node, ref metav1.OwnerReference, strays *[]Identity) (look []types.UID) {
	owner := g.nodes[ref.UID]
	if owner == nil {
		owner = &node{Identity: Identity{Group: groupOf(ref), Kind: ref.Kind, Namespace: n.Namespace, Name: ref.Name, UID: ref.UID}}
		g.nodes[ref.UID] = owner
		look = append(look, owner.UID)
	}
	if owner.dependents == nil {
		owner.dependents = map[*node]struct{}{}
	}
	owner.dependents[n] = struct{}{}
	switch {
	case owner.virtual():
	case !owner.meant(ref, n.Namespace):
		if owner.Namespace != n.Namespace && owner.Namespace != "" {
			*strays = append(*strays, Identity{Group: groupOf(ref), Kind: ref.Kind, Namespace: n.Namespace, Name: ref.Name, UID: ref.UID})
		}
		look = append(look, n.UID)
	case owner.foreground:
		look = append(look, n.UID) // it came while its owner was going already
	}
	return look
}

// transition notes whether the object is being deleted and how, and returns whom that concerns.
func (n *node) transition(object metav1.Object) (look []types.UID) {
	if object.GetDeletionTimestamp() == nil {
		return nil
	}
	n.deleting = true
	orphaning := slices.Contains(object.GetFinalizers(), metav1.FinalizerOrphanDependents)
	foreground := slices.Contains(object.GetFinalizers(), metav1.FinalizerDeleteDependents)
	if orphaning && !n.orphaning {
		look = append(look, n.UID)
	} else if foreground && !n.foreground {
		for dependent := range n.dependents {
			look = append(look, dependent.UID)
		}
		look = append(look, n.UID)
	}
	n.orphaning, n.foreground = orphaning, foreground
	return look
}

// Gone records that an object is no more.
func (g *Graph) Gone(uid types.UID) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[uid]
	if n == nil {
		return nil
	}
	return g.remove(n)
}

// remove takes a node out. Its dependents have lost an owner; owners that wait for their dependents may have waited for it.
func (g *Graph) remove(n *node) (look []types.UID) {
	delete(g.nodes, n.UID)
	for dependent := range n.dependents {
		look = append(look, dependent.UID)
	}
	for _, ref := range n.owners {
		owner := g.nodes[ref.UID]
		if owner == nil {
			continue
		}
		delete(owner.dependents, n)
		switch {
		case owner.foreground:
			look = append(look, owner.UID)
		case owner.virtual() && len(owner.dependents) == 0:
			delete(g.nodes, owner.UID) // nobody speaks of it any more
		}
	}
	return look
}

// NotThere records that a virtual object was looked for under the identity that At returned, and is not there. Dependents that
// claim another identity for the same UID have it looked for there next.
func (g *Graph) NotThere(id Identity) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[id.UID]
	if n == nil || !n.virtual() || n.Identity != id {
		return nil
	}
	var look []types.UID
	var other *Identity
	for dependent := range n.dependents {
		for _, ref := range dependent.owners {
			if ref.UID != n.UID {
				continue
			}
			claim := Identity{Group: groupOf(ref), Kind: ref.Kind, Namespace: dependent.Namespace, Name: ref.Name, UID: ref.UID}
			switch {
			case claim == id:
				look = append(look, dependent.UID)
				delete(n.dependents, dependent) // judged by its own, wrong claim; it does not wait for another's
			case other == nil || less(claim, *other):
				other = &claim
			}
		}
	}
	if other == nil {
		return append(look, g.remove(n)...)
	}
	n.Identity = *other
	return append(look, n.UID)
}

func less(a, b Identity) bool {
	if a.Namespace != b.Namespace {
		return a.Namespace < b.Namespace
	}
	if a.Kind != b.Kind {
		return a.Kind < b.Kind
	}
	if a.Group != b.Group {
		return a.Group < b.Group
	}
	return a.Name < b.Name
}

func blocks(ref metav1.OwnerReference) bool {
	return ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
}

// Drop forgets all objects of a resource that is served no more.
func (g *Graph) Drop(resource schema.GroupVersionResource) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	var look []types.UID
	for _, n := range g.nodes {
		if n.resource != nil && n.resource.GroupVersionResource == resource {
			look = append(look, g.remove(n)...)
		}
	}
	return look
}

// UIDs returns the UIDs of all observed objects of a resource.
func (g *Graph) UIDs(resource schema.GroupVersionResource) map[types.UID]struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	uids := map[types.UID]struct{}{}
	for uid, n := range g.nodes {
		if n.resource != nil && n.resource.GroupVersionResource == resource {
			uids[uid] = struct{}{}
		}
	}
	return uids
}
