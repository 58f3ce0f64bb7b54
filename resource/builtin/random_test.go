package builtin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	"github.com/septet-io/septet/resource"
)

// fill makes objects whose every field may be anything, or missing.
func fill(seed int64, obj resource.Object) {
	randfill.NewWithSeed(seed).NilChance(0.4).NumElements(0, 2).MaxDepth(12).Funcs(
		func(q *apiresource.Quantity, c randfill.Continue) {
			*q = *apiresource.NewScaledQuantity(c.Int63()-c.Int63(), apiresource.Scale(c.Intn(24)-12))
			_ = q.String() // quantities remember how they are written
		},
		func(t *metav1.Time, c randfill.Continue) { *t = metav1.Unix(int64(c.Uint32()), 0) },
		func(t *metav1.MicroTime, c randfill.Continue) {
			*t = metav1.MicroTime{Time: metav1.Unix(int64(c.Uint32()), 0).Time}
		},
		func(s *intstr.IntOrString, c randfill.Continue) {
			*s = intstr.FromInt32(int32(c.Uint32()))
			if c.Bool() {
				*s = intstr.FromString(c.String(5) + "%")
			}
		},
		func(r *runtime.RawExtension, c randfill.Continue) { r.Raw = []byte(`{"a":1}`) },
	).Fill(obj)
}

// Whatever a client sends, defaults are filled in once and for all, and nothing that looks at it falls over.
func TestAnythingCanBeSent(t *testing.T) {
	t.Parallel()
	const rounds = 40
	for _, k := range All() {
		t.Run(k.GroupVersionKind.String(), func(t *testing.T) {
			t.Parallel()
			for seed := range int64(rounds) {
				obj, old := k.New(), k.New()
				fill(seed, obj)
				fill(seed+rounds, old)
				k.Default(obj)
				k.Default(old)
				again := obj.DeepCopyObject().(resource.Object)
				k.Default(again)
				if diff := cmp.Diff(obj, again); diff != "" {
					t.Fatalf("seed %d: defaulting twice is not the same as once:\n%s", seed, diff)
				}
				lookAt(k, obj, old)
			}
		})
	}
}

func lookAt(k *resource.Kind, obj, old resource.Object) {
	r := &resource.Request{Verb: "update"}
	k.Row(obj)
	if k.RowConditions != nil {
		k.RowConditions(obj)
	}
	for _, f := range k.Fields {
		f.Value(obj)
	}
	k.Validate(r, obj)
	k.ValidateUpdate(r, obj, old)
	k.Warn(r, obj, old)
	if k.Grace != nil {
		k.Grace(r, obj, &metav1.DeleteOptions{})
	}
	if k.Scale != nil {
		k.Scale.Get(obj)
	}
	for _, view := range k.Views {
		changed := obj.DeepCopyObject().(resource.Object)
		view.Prepare(r, changed, old)
		view.Validate(r, changed, old)
	}
	created, updated := obj.DeepCopyObject().(resource.Object), obj.DeepCopyObject().(resource.Object)
	k.PrepareCreate(r, created)
	k.Validate(r, created)
	k.PrepareUpdate(r, updated, old)
	k.ValidateUpdate(r, updated, old)
}
