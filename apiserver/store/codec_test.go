package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/septet-io/septet/resource/builtin"
)

// TestUpstreamsBytes reads what upstream stores of each kind, filled in every field, and writes the same bytes again.
func TestUpstreamsBytes(t *testing.T) {
	t.Parallel()
	reference := os.Getenv("SEPTET_REFERENCE")
	if reference == "" {
		reference = "../../../shared/reference"
	}
	read := 0
	for _, kind := range builtin.All() {
		if !kind.Stored() {
			continue
		}
		gvk := kind.GroupVersionKind
		group := gvk.Group
		if group == "" {
			group = "core"
		}
		data, err := os.ReadFile(filepath.Join(reference, "wire", group+"."+gvk.Version+"."+gvk.Kind+".pb"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		read++
		codec := ProtobufCodec(kind)
		obj, err := codec.Decode(data)
		if err != nil {
			t.Errorf("%v: %v", gvk, err)
			continue
		}
		again, err := codec.Encode(obj)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%v: %d bytes became %d, %v", gvk, len(data), len(again), err)
		}
		intern(obj, nil)
		if again, err := codec.Encode(obj); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%v: sharing strings changed it, %v", gvk, err)
		}
		asJSON, err := JSONCodec(kind).Encode(obj)
		if err != nil {
			t.Errorf("%v: %v", gvk, err)
		}
		if back, err := codec.Decode(asJSON); err != nil || !reflect.DeepEqual(back, obj) {
			t.Errorf("%v: JSON in etcd is read differently: %v", gvk, err)
		}
	}
	if read == 0 {
		t.Skip("no reference data here")
	}
	t.Logf("%d kinds", read)
}

// TestInternShares: equal strings and field sets of different objects become one.
func TestInternShares(t *testing.T) {
	t.Parallel()
	decode := func() *corev1.Pod {
		pod := &corev1.Pod{}
		text := `{"metadata":{"name":"p","labels":{"app":"web"},"annotations":{"k":"v"},"managedFields":[{"manager":"kubelet","fieldsV1":{"f:status":{}}}]},
			"spec":{"nodeName":"n1","containers":[{"name":"c","image":"registry.example/web:1","env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}]}}`
		if err := json.Unmarshal([]byte(text), pod); err != nil {
			t.Fatal(err)
		}
		return pod
	}
	a, b, untouched := decode(), decode(), decode()
	intern(a, nil)
	intern(b, nil)
	if !reflect.DeepEqual(a, untouched) {
		t.Fatalf("%+v", a)
	}
	same := func(what, x, y string) {
		t.Helper()
		if x != y || unsafe.StringData(x) != unsafe.StringData(y) {
			t.Errorf("%s is kept twice", what)
		}
	}
	same("the image", a.Spec.Containers[0].Image, b.Spec.Containers[0].Image)
	same("a field path", a.Spec.Containers[0].Env[0].ValueFrom.FieldRef.FieldPath, b.Spec.Containers[0].Env[0].ValueFrom.FieldRef.FieldPath)
	same("a label", a.Labels["app"], b.Labels["app"])
	if a.ManagedFields[0].FieldsV1 != b.ManagedFields[0].FieldsV1 {
		t.Error("managed fields are kept twice")
	}
	// What an object shares with the one before it is not touched.
	next := decode()
	next.Spec = untouched.Spec
	intern(next, untouched)
	if unsafe.StringData(next.Spec.Containers[0].Image) != unsafe.StringData(untouched.Spec.Containers[0].Image) {
		t.Error("a shared part was written to")
	}
	next = decode()
	intern(next, untouched)
	same("what an object says as before", next.Spec.NodeName, untouched.Spec.NodeName)
	widget := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "w"}, "spec": []any{"x", int64(1), nil}}}
	before := widget.DeepCopy()
	intern(widget, nil)
	if !reflect.DeepEqual(widget, before) {
		t.Fatalf("%+v", widget)
	}
	intern(&metav1.PartialObjectMetadata{}, nil)
}
