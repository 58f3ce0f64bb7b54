package builtin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/septet-io/septet/resource"
)

// wire returns upstream's filled object of a kind in a media type.
func wire(t *testing.T, k *resource.Kind, suffix string) []byte {
	t.Helper()
	group := k.GroupVersionKind.Group
	if group == "" {
		group = "core"
	}
	path := reference(t, "wire", fmt.Sprintf("%s.%s.%s.%s", group, k.GroupVersionKind.Version, k.GroupVersionKind.Kind, suffix))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decodeJSON(t *testing.T, k *resource.Kind, data []byte) resource.Object {
	t.Helper()
	obj := k.New()
	var compact bytes.Buffer // raw parts keep their spaces otherwise
	if err := json.Compact(&compact, data); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(&compact)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(obj); err != nil {
		t.Fatal(err)
	}
	return obj
}

type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// Every kind takes upstream's object in both encodings, fills in what is missing, and once that is done, doing it
// again changes nothing: what etcd holds reads back as it was written.
func TestObjectsSurviveDefaultingAndEncoding(t *testing.T) {
	t.Parallel()
	for _, k := range All() {
		t.Run(k.GroupVersionKind.String(), func(t *testing.T) {
			t.Parallel()
			obj := decodeJSON(t, k, wire(t, k, "json"))
			fromProtobuf := k.New()
			if m, ok := fromProtobuf.(message); ok {
				var envelope runtime.Unknown
				if err := envelope.Unmarshal(bytes.TrimPrefix(wire(t, k, "pb"), []byte("k8s\x00"))); err != nil {
					t.Fatal(err)
				}
				if err := m.Unmarshal(envelope.Raw); err != nil {
					t.Fatal(err)
				}
				fromProtobuf.GetObjectKind().SetGroupVersionKind(k.GroupVersionKind)
				if diff := cmp.Diff(obj, fromProtobuf); diff != "" {
					t.Errorf("the two encodings differ (-json +protobuf):\n%s", diff)
				}
			}
			k.Default(obj)
			again := obj.DeepCopyObject().(resource.Object)
			k.Default(again)
			if diff := cmp.Diff(obj, again); diff != "" {
				t.Errorf("defaulting twice is not the same as once:\n%s", diff)
			}
			text, err := json.Marshal(obj)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(obj, decodeJSON(t, k, text)); diff != "" {
				t.Errorf("lost on the way through JSON:\n%s", diff)
			}
			if row := k.Row(obj); len(row) != len(k.Columns) {
				t.Errorf("%d cells in %d columns", len(row), len(k.Columns))
			}
		})
	}
}

// Every kind takes an empty object without falling over it: clients send those too.
func TestEmptyObjectsAreHarmless(t *testing.T) {
	t.Parallel()
	for _, k := range All() {
		t.Run(k.GroupVersionKind.String(), func(t *testing.T) {
			t.Parallel()
			r := &resource.Request{Verb: "create"}
			obj := k.New()
			k.Default(obj)
			k.PrepareCreate(r, obj)
			k.Validate(r, obj)
			k.Warn(r, obj, nil)
			old := obj.DeepCopyObject().(resource.Object)
			k.PrepareUpdate(r, obj, old)
			k.ValidateUpdate(r, obj, old)
			k.Warn(r, obj, old)
			k.Row(obj)
			for _, f := range k.Fields {
				f.Value(obj)
			}
			for _, view := range k.Views {
				view.Prepare(r, obj, old)
				view.Validate(r, obj, old)
			}
		})
	}
}

// Kinds stored as another one come back as they went.
func TestSharedStorageLosesNothing(t *testing.T) {
	t.Parallel()
	for _, k := range All() {
		if k.StoredAs == nil {
			continue
		}
		t.Run(k.GroupVersionKind.String(), func(t *testing.T) {
			t.Parallel()
			obj := decodeJSON(t, k, wire(t, k, "json"))
			k.Default(obj)
			before := obj.DeepCopyObject()
			stored, err := k.To([]resource.Object{obj})
			if err != nil {
				t.Fatal(err)
			}
			if kind := stored[0].GetObjectKind().GroupVersionKind(); kind != k.StoredAs.GroupVersionKind {
				t.Errorf("stored as %s, not %s", kind, k.StoredAs.GroupVersionKind)
			}
			back, err := k.From(stored)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, back[0].(runtime.Object)); diff != "" && k.GroupVersionKind.Group != "autoscaling" {
				t.Errorf("not the same after storing (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(before, obj.(runtime.Object)); diff != "" {
				t.Errorf("storing changed the object:\n%s", diff)
			}
		})
	}
}
