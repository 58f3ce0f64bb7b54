package rest

import (
	"math/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/builtin"
)

// TestTrackingIsApimachinerys writes random objects over each other and compares who then owns what with what
// apimachinery's own implementation says.
func TestTrackingIsApimachinerys(t *testing.T) {
	t.Parallel()
	env := &Env{Fields: NewFields(nil)}
	slow := 0
	for _, kind := range builtin.All() {
		r := New(kind, env, func() store.Store { return nil })
		if r.tracker("") == nil {
			if kind.Stored() {
				t.Logf("%s is tracked slowly", kind.GroupVersionKind)
				slow++
			}
			continue
		}
		t.Run(kind.GroupVersionKind.String(), func(t *testing.T) {
			t.Parallel()
			fill := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(7), serializer.NewCodecFactory(scheme.Scheme)).NilChance(0.4).NumElements(0, 3)
			for range 6 {
				compareTracking(t, r, func() resource.Object {
					obj := r.New()
					fill.Fill(obj)
					obj.SetManagedFields(nil)
					obj.GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
					return obj
				})
			}
		})
	}
	if slow > 2 { // CustomResourceDefinitions and APIServices, whose types client-go does not know
		t.Errorf("%d kinds are tracked slowly", slow)
	}
}

func compareTracking(t *testing.T, r *Resource, random func() resource.Object) {
	t.Helper()
	type step struct{ manager, subresource string }
	live := r.empty()
	for i, s := range []step{{"alice", ""}, {"bob", ""}, {"kubelet", "status"}, {"alice", ""}} {
		if s.subresource != "" && r.View(s.subresource) == nil {
			continue
		}
		ours := random()
		ours.SetUID("uid")
		if i == 3 { // some fields stay
			ours.SetLabels(live.GetLabels())
			ours.SetAnnotations(live.GetAnnotations())
		}
		ours.SetManagedFields(live.GetManagedFields())
		theirs := ours.DeepCopyObject().(resource.Object)
		tracked, err := r.trackSlowly(live, theirs, s.manager, s.subresource)
		if err != nil {
			t.Fatal(err)
		}
		if fast := r.tracker(s.subresource); fast == nil || !fast.Update(live, ours, s.manager, time.Now()) {
			live = tracked // out of the ordinary: duplicates, or parts of a status that are reset
			continue
		}
		if len(tracked.GetManagedFields()) == 0 {
			return // apimachinery gives up where an object is not valid in parts that the write does not touch
		}
		byText := cmp.Transformer("text", func(f *metav1.FieldsV1) string { return f.GetRawString() })
		if diff := cmp.Diff(tracked.GetManagedFields(), ours.GetManagedFields(), byText, cmpopts.IgnoreFields(metav1.ManagedFieldsEntry{}, "Time"), cmpopts.EquateEmpty(),
			cmpopts.SortSlices(func(a, b metav1.ManagedFieldsEntry) bool { return a.Manager+a.Subresource < b.Manager+b.Subresource })); diff != "" {
			t.Fatalf("step %d, %s %s: apimachinery's (-) and ours (+) differ:\n%s", i, s.manager, s.subresource, diff)
		}
		live = ours
		live.SetUID("uid")
	}
}
