package garbagecollector

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

var (
	podResource  = &Resource{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, Kind: "Pod", Namespaced: true}
	nodeResource = &Resource{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "nodes"}, Kind: "Node"}
)

// object returns a Pod of namespace "default", whose name is its UID, with Pods as owners.
func object(name string, owners ...string) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}}
	for _, owner := range owners {
		o.OwnerReferences = append(o.OwnerReferences, ref("Pod", owner))
	}
	return o
}

func ref(kind, name string) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: kind, Name: name, UID: types.UID(name), BlockOwnerDeletion: ptr.To(true)}
}

func dying(o *metav1.PartialObjectMetadata, finalizers ...string) *metav1.PartialObjectMetadata {
	o = o.DeepCopy()
	o.DeletionTimestamp, o.Finalizers = &metav1.Time{}, finalizers
	return o
}

func expect(t *testing.T, what string, got []types.UID, want ...types.UID) {
	t.Helper()
	slices.Sort(got)
	got = slices.Compact(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: look at %v, want %v", what, got, want)
	}
}

func look(uids []types.UID, _ []Identity) []types.UID { return uids }

func TestWhatLosesItsOwnerIsLookedAt(t *testing.T) {
	t.Parallel()
	g := NewGraph()
	expect(t, "an owner", look(g.Observe(podResource, object("owner"))))
	expect(t, "a dependent of a known owner", look(g.Observe(podResource, object("a", "owner"))))
	expect(t, "another", look(g.Observe(podResource, object("b", "owner"))))
	expect(t, "the owner goes", g.Gone("owner"), "a", "b")
	expect(t, "it is gone already", g.Gone("owner"))
}

func TestAnOwnerThatIsOnlyClaimedIsLookedFor(t *testing.T) {
	t.Parallel()
	g := NewGraph()
	expect(t, "a dependent before its owner", look(g.Observe(podResource, object("a", "owner"))), "owner")
	view, found := g.At("owner")
	if !found || view.Resource != nil || view.Name != "owner" || view.Namespace != "default" {
		t.Fatalf("the claimed owner is %+v", view)
	}
	expect(t, "it is not there", g.NotThere(view.Identity), "a")
	if _, found := g.At("owner"); found {
		t.Error("what does not exist is remembered")
	}
}

func TestAnOwnerThatComesLateIsTakenForWhatItIs(t *testing.T) {
	t.Parallel()
	g := NewGraph()
	g.Observe(podResource, object("a", "owner"))
	expect(t, "the owner comes after its dependent", look(g.Observe(podResource, object("owner"))))
	view, _ := g.At("owner")
	if view.Resource == nil || len(view.Dependents) != 1 {
		t.Errorf("the owner is %+v", view)
	}
	expect(t, "nobody takes it away by the earlier doubt", g.NotThere(view.Identity))
}

func TestAReferenceToAnotherNamespaceDoesNotCount(t *testing.T) {
	t.Parallel()
	g := NewGraph()
	far := object("owner")
	far.Namespace = "far"
	g.Observe(podResource, far)
	uids, strays := g.Observe(podResource, object("a", "owner"))
	expect(t, "a stray", uids, "a")
	if len(strays) != 1 || strays[0].Namespace != "default" {
		t.Errorf("strays %+v", strays)
	}
	if known, _ := g.Knows(ref("Pod", "owner"), "default"); known {
		t.Error("the owner counts from here")
	}
	g.Observe(nodeResource, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "n"}})
	if known, _ := g.Knows(ref("Node", "n"), "default"); !known {
		t.Error("a cluster-scoped owner does not count from a namespace")
	}
}

func TestClaimsThatDisagreeAreTriedInTurn(t *testing.T) {
	t.Parallel()
	g := NewGraph()
	g.Observe(podResource, object("a", "owner"))
	other := object("b")
	other.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "owner", UID: "owner"}}
	g.Observe(podResource, other)
	first, _ := g.At("owner")
	expect(t, "not there as the first says", g.NotThere(first.Identity), "a", "owner")
	second, found := g.At("owner")
	if !found || second.Kind != "Node" {
		t.Fatalf("looked for next as %+v", second)
	}
	expect(t, "nor as the second", g.NotThere(second.Identity), "b")
}

func TestForegroundDeletionWaitsForBlockingDependents(t *testing.T) {
	t.Parallel()
	g := NewGraph()
	owner := object("owner")
	g.Observe(podResource, owner)
	g.Observe(podResource, object("a", "owner"))
	going := dying(owner, metav1.FinalizerDeleteDependents)
	expect(t, "it begins", look(g.Observe(podResource, going)), "a", "owner")
	expect(t, "it goes on", look(g.Observe(podResource, going)))
	view, _ := g.At("owner")
	if !view.Foreground || len(Blocking(view.Dependents)) != 1 {
		t.Fatalf("%+v", view)
	}
	expect(t, "one more dependent comes", look(g.Observe(podResource, object("late", "owner"))), "late")
	expect(t, "one goes", g.Gone("a"), "owner")
	expect(t, "one lets go", look(g.Observe(podResource, object("late"))), "owner")
	view, _ = g.At("owner")
	if len(view.Dependents) != 0 {
		t.Errorf("%+v", view.Dependents)
	}
}

func TestOrphaning(t *testing.T) {
	t.Parallel()
	g := NewGraph()
	owner := object("owner")
	g.Observe(podResource, owner)
	g.Observe(podResource, object("a", "owner"))
	expect(t, "it begins", look(g.Observe(podResource, dying(owner, metav1.FinalizerOrphanDependents))), "owner")
	expect(t, "the dependent is freed", look(g.Observe(podResource, object("a"))))
	expect(t, "then the owner goes", g.Gone("owner"))
}

func TestAResourceThatIsServedNoMoreTakesItsObjectsAlong(t *testing.T) {
	t.Parallel()
	g := NewGraph()
	g.Observe(nodeResource, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "n"}})
	dependent := object("a")
	dependent.OwnerReferences = []metav1.OwnerReference{ref("Node", "n")}
	g.Observe(podResource, dependent)
	expect(t, "no more nodes", g.Drop(nodeResource.GroupVersionResource), "a")
	if len(g.UIDs(podResource.GroupVersionResource)) != 1 {
		t.Error("others went too")
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	owner := func(name string, state OwnerState) Owner { return Owner{ref("Pod", name), state} }
	for _, test := range []struct {
		name       string
		owners     []Owner
		finalizers []string
		dependents []Dependent
		want       Verdict
	}{
		{name: "nobody's"},
		{name: "kept", owners: []Owner{owner("a", Solid)}},
		{name: "kept by one of two", owners: []Owner{owner("a", Solid), owner("b", Absent), owner("c", Waiting)}, want: Verdict{Release: []types.UID{"b", "c"}}},
		{name: "orphaned", owners: []Owner{owner("a", Absent)}, want: Verdict{Delete: metav1.DeletePropagationBackground}},
		{name: "waited for", owners: []Owner{owner("a", Waiting)}, want: Verdict{Delete: metav1.DeletePropagationBackground}},
		{name: "waited for, with dependents", owners: []Owner{owner("a", Waiting)}, dependents: []Dependent{{}},
			want: Verdict{Delete: metav1.DeletePropagationForeground}},
		{name: "in a circle", owners: []Owner{owner("a", Waiting)}, dependents: []Dependent{{Foreground: true}},
			want: Verdict{Delete: metav1.DeletePropagationForeground, Unblock: true}},
		{name: "asked to orphan before", owners: []Owner{owner("a", Absent)}, finalizers: []string{metav1.FinalizerOrphanDependents},
			want: Verdict{Delete: metav1.DeletePropagationOrphan}},
	} {
		got := Judge(test.owners, test.finalizers, test.dependents)
		if got.Delete != test.want.Delete || got.Unblock != test.want.Unblock || !slices.Equal(got.Release, test.want.Release) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	g := NewGraph()
	g.Observe(podResource, object("owner"))
	o := object("a", "owner")
	b.ReportAllocs()
	for b.Loop() {
		g.Observe(podResource, o)
	}
}
