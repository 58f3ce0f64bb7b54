package rest

import (
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

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
		if !scheme.Scheme.Recognizes(kind.GroupVersionKind) {
			continue // apimachinery's has no description of it here; TestAPIServicesAreTracked has
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
	if slow > 1 { // CustomResourceDefinitions, whose types client-go does not know
		t.Errorf("%d kinds are tracked slowly", slow)
	}
}

// TestAPIServicesAreTracked without apimachinery, since each start of a server makes some. The fields are what it says of the same object.
func TestAPIServicesAreTracked(t *testing.T) {
	t.Parallel()
	i := slices.IndexFunc(builtin.All(), func(k *resource.Kind) bool { return k.GroupVersionKind.Kind == "APIService" })
	r := New(builtin.All()[i], &Env{Fields: NewFields(nil)}, func() store.Store { return nil })
	port := int32(443)
	obj := &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: "v1.x.example.com", Labels: map[string]string{"a": "b"}},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: "x.example.com", Version: "v1", GroupPriorityMinimum: 10, VersionPriority: 5, CABundle: []byte("foo"),
			Service: &apiregistrationv1.ServiceReference{Name: "svc", Namespace: "nsp", Port: &port},
		},
	}
	if !r.tracker("").Update(r.empty(), obj, "kubectl-create", time.Now()) {
		t.Fatal("not tracked")
	}
	const want = `{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:caBundle":{},"f:group":{},"f:groupPriorityMinimum":{},` +
		`"f:service":{".":{},"f:name":{},"f:namespace":{},"f:port":{}},"f:version":{},"f:versionPriority":{}}}`
	if got := string(obj.ManagedFields[0].FieldsV1.Raw); got != want {
		t.Errorf("fields\n  %s\nwant\n  %s", got, want)
	}
	obj.Status.Conditions = []apiregistrationv1.APIServiceCondition{{Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue}}
	before := obj.DeepCopy()
	before.Status.Conditions = nil
	if !r.tracker("status").Update(before, obj, "kube-apiserver", time.Now()) {
		t.Fatal("the status is not tracked")
	}
	const status = `{"f:status":{"f:conditions":{".":{},"k:{\"type\":\"Available\"}":{".":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}}}}`
	if i := slices.IndexFunc(obj.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return e.Subresource == "status" }); i < 0 || string(obj.ManagedFields[i].FieldsV1.Raw) != status {
		t.Errorf("fields of the status: %v", obj.ManagedFields)
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
