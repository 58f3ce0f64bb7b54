package rest

import (
	"encoding/json"
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/builtin"
)

// TestPatchingPartsIsPatchingTheWhole makes patches between random objects and applies them both ways.
func TestPatchingPartsIsPatchingTheWhole(t *testing.T) {
	t.Parallel()
	byPart := 0
	for _, kind := range builtin.All() {
		if !kind.Stored() || kind.GroupVersionKind.Kind == "CustomResourceDefinition" { // random schemas never end
			continue
		}
		r := New(kind, &Env{}, func() store.Store { return nil })
		fill := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(3), serializer.NewCodecFactory(scheme.Scheme)).NilChance(0.6).NumElements(0, 2)
		for range 4 {
			old, wanted := r.New(), r.New()
			for _, obj := range []resource.Object{old, wanted} {
				fill.Fill(obj)
				obj.SetManagedFields(nil)
				obj.GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
			}
			a, b := mustJSON(t, old), mustJSON(t, wanted)
			if merge, err := jsonpatch.CreateMergePatch(a, b); err == nil {
				byPart += bothWays(t, r, old, merge, mergeWhole)
			}
			if strategic, err := strategicpatch.CreateTwoWayMergePatch(a, b, r.New()); err == nil {
				byPart += bothWays(t, r, old, strategic, strategicWhole)
			}
		}
	}
	if byPart < 200 {
		t.Errorf("only %d patches were applied part by part", byPart)
	}
}

func mustJSON(t *testing.T, obj any) []byte {
	t.Helper()
	body, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func mergeWhole(r *Resource, old, patch []byte) ([]byte, part, error) {
	after, err := jsonpatch.MergePatch(old, patch)
	return after, mergePart, err
}

func strategicWhole(r *Resource, old, patch []byte) ([]byte, part, error) {
	rules, err := strategicpatch.NewPatchMetaFromStruct(r.New())
	if err != nil {
		return nil, nil, err
	}
	after, err := strategicpatch.StrategicMergePatch(old, patch, r.New())
	return after, r.strategicPart(rules), err
}

// bothWays returns 1 if the patch could be applied part by part.
func bothWays(t *testing.T, r *Resource, old resource.Object, patch []byte, whole func(*Resource, []byte, []byte) ([]byte, part, error)) int {
	t.Helper()
	after, merge, err := whole(r, mustJSON(t, old), patch)
	if err != nil {
		return 0
	}
	var content map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(patch, &content); err != nil {
		t.Fatal(err)
	}
	got, err := r.patchedParts(old, content, nil, merge, "Ignore", &request.State{})
	if err != nil {
		return 0
	}
	want := r.New()
	if err := json.Unmarshal(after, want); err != nil {
		return 0
	}
	if diff := cmp.Diff(string(mustJSON(t, want)), string(mustJSON(t, got))); diff != "" {
		t.Errorf("%s: the whole (-) and its parts (+) differ after %s:\n%s", r.GroupVersionKind, patch, diff)
	}
	return 1
}
