package rest

import (
	"encoding/json"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/builtin"
)

// TestApplyingIsApimachinerys applies random parts of random objects and compares what comes of it, and who then owns what, with
// what apimachinery's own implementation says.
func TestApplyingIsApimachinerys(t *testing.T) {
	t.Parallel()
	env := &Env{Fields: NewFields(nil)}
	for _, kind := range builtin.All() {
		r := New(kind, env, func() store.Store { return nil })
		if r.tracker("") == nil || !scheme.Scheme.Recognizes(r.GroupVersionKind) {
			continue
		}
		t.Run(kind.GroupVersionKind.String(), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewSource(7))
			fill := fuzzer.FuzzerFor(metafuzzer.Funcs, random, serializer.NewCodecFactory(scheme.Scheme)).NilChance(0.4).NumElements(0, 3)
			fast := 0
			for range 12 {
				live := r.New()
				fill.Fill(live)
				live.SetName("name")
				live.SetManagedFields(nil)
				live.SetAnnotations(map[string]string{"a": "b"})
				live.GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
				live = reread(t, r, live)
				r.Kind.Default(live) // as all stored objects are
				tracked, err := r.trackSlowly(r.empty(), live, "creator", "")
				if err != nil {
					t.Fatal(err)
				}
				fast += compareApplying(t, r, random, tracked, "")
				if slices.ContainsFunc(r.Views, func(v resource.KindView) bool { return v.Name == "status" }) {
					compareApplying(t, r, random, tracked, "status")
				}
			}
			if fast == 0 {
				t.Errorf("nothing was applied fast")
			}
		})
	}
}

// compareApplying lets two managers apply parts of the object, or of its status, changed in some of its annotations, and counts what went fast.
func compareApplying(t *testing.T, r *Resource, random *rand.Rand, live resource.Object, subresource string) (fast int) {
	t.Helper()
	for i, manager := range []string{"alice", "bob", "alice"} {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
		if err != nil {
			t.Fatal(err)
		}
		wanted := &unstructured.Unstructured{Object: some(random, content).(map[string]any)}
		wanted.Object["metadata"] = map[string]any{"name": "name", "annotations": map[string]any{manager: string(rune('a' + i))}}
		if subresource == "status" {
			wanted.Object = map[string]any{"metadata": map[string]any{"name": "name"}, "status": wanted.Object["status"]}
		} else {
			delete(wanted.Object, "status")
		}
		wanted.SetGroupVersionKind(r.GroupVersionKind)
		ours := r.applyFast(live, wanted, manager, subresource, time.Now())
		m, err := r.fieldManager(subresource)
		if err != nil {
			t.Fatal(err)
		}
		applied, err := m.Apply(live.DeepCopyObject(), wanted.DeepCopy(), manager, false)
		if err != nil {
			if ours != nil {
				t.Errorf("went through, where apimachinery says %v", err)
			}
			continue
		}
		theirs := applied.(resource.Object)
		theirs.GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
		if ours != nil {
			fast++
			byText := cmp.Transformer("text", func(f *metav1.FieldsV1) string { return f.GetRawString() })
			a, b := canonical(t, r, theirs), canonical(t, r, ours)
			if a != b {
				t.Fatalf("applying\n%v\napimachinery's (-) and ours (+) differ:\n%s\n%s", wanted.Object, cmp.Diff(a, b),
					cmp.Diff(theirs.GetManagedFields(), ours.GetManagedFields(), byText, cmpopts.EquateEmpty()))
			}
		}
		live = theirs
	}
	return fast
}

// reread is the object as it comes out of JSON: without lists and maps that are there and empty.
func reread(t *testing.T, r *Resource, obj resource.Object) resource.Object {
	t.Helper()
	text, err := marshalJSON(r.GroupVersionKind, obj)
	if err != nil {
		t.Fatal(err)
	}
	again := r.New()
	if err := json.Unmarshal(text, again); err != nil {
		t.Fatal(err)
	}
	return again
}

// canonical is the object's JSON with all fields sorted and the times of managed fields left out.
func canonical(t *testing.T, r *Resource, obj resource.Object) string {
	t.Helper()
	text, err := marshalJSON(r.GroupVersionKind, withoutTimes(obj))
	if err != nil {
		t.Fatal(err)
	}
	var content any
	if err := json.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	if text, err = json.Marshal(content); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func withoutTimes(obj resource.Object) resource.Object {
	copied := obj.DeepCopyObject().(resource.Object)
	entries := copied.GetManagedFields()
	for i := range entries {
		entries[i].Time = nil
	}
	// Whose entry is older is a matter of the clock here.
	slices.SortFunc(entries, func(a, b metav1.ManagedFieldsEntry) int {
		return strings.Compare(string(a.Operation)+a.Manager, string(b.Operation)+b.Manager)
	})
	copied.SetManagedFields(entries)
	return copied
}

// some leaves out parts of a generic value, at random; objects in lists keep all their fields.
func some(random *rand.Rand, v any) any {
	fields, ok := v.(map[string]any)
	if !ok {
		return v
	}
	kept := map[string]any{}
	for key, value := range fields {
		if value != nil && random.Intn(3) > 0 {
			kept[key] = some(random, value)
		}
	}
	return kept
}
