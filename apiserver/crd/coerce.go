package crd

import (
	"fmt"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/septet-io/septet/resource"
)

// coerce does with an object what decoding into a Go struct does with one of a built-in kind: it drops unknown fields and nulls, and
// makes metadata, its own and that of embedded objects, well formed. The paths of what was dropped are returned if wanted.
func (v *version) coerce(obj resource.Object, paths bool) ([]string, error) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("%T is no custom resource", obj)
	}
	return v.shape(u, paths, false)
}

// repair is coerce for what lies in etcd: metadata that could not be written today is dropped instead of refused.
func (v *version) repair(u *unstructured.Unstructured) error {
	if _, err := v.shape(u, false, true); err != nil {
		return err
	}
	if u.GetGeneration() == 0 {
		u.SetGeneration(1) // very old ones have none
	}
	return nil
}

func (v *version) shape(u *unstructured.Unstructured, paths, lenient bool) ([]string, error) {
	for _, name := range []string{"kind", "apiVersion"} {
		if _, _, err := unstructured.NestedString(u.Object, name); err != nil {
			return nil, err
		}
	}
	kind, hasKind := u.Object["kind"]
	apiVersion, hasVersion := u.Object["apiVersion"]
	unknown, err := ownMetadata(u.Object, paths, lenient)
	if err != nil {
		return nil, err
	}
	metadata, hasMetadata := u.Object["metadata"]
	dropped, err := v.prune(u.Object, paths, lenient)
	if err != nil {
		return nil, err
	}
	// The root's own fields need not be in the schema.
	for name, field := range map[string]struct {
		value any
		has   bool
	}{"kind": {kind, hasKind}, "apiVersion": {apiVersion, hasVersion}, "metadata": {metadata, hasMetadata}} {
		if field.has {
			u.Object[name] = field.value
		}
	}
	return append(unknown, dropped...), nil
}

// ownMetadata makes the metadata of an object well formed.
func ownMetadata(object map[string]any, paths, lenient bool) ([]string, error) {
	if metadata, ok := object["metadata"].(map[string]any); ok && wellFormed(metadata) {
		return nil, nil
	}
	metadata, found, unknown, err := objectmeta.GetObjectMetaWithOptions(object, objectmeta.ObjectMetaOptions{
		DropMalformedFields: lenient, ReturnUnknownFieldPaths: paths,
	})
	if err != nil || !found {
		return nil, err
	}
	return unknown, objectmeta.SetObjectMeta(object, metadata)
}

// prune drops what the schema does not know.
func (v *version) prune(object map[string]any, paths, lenient bool) ([]string, error) {
	s := v.structure()
	var unknown []string
	if !v.preserve && s != nil {
		unknown = pruning.PruneWithOptions(object, s, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: paths})
		defaulting.PruneNonNullableNullsWithoutDefaults(object, s)
	}
	err, dropped := objectmeta.CoerceWithOptions(nil, object, s, false, objectmeta.CoerceOptions{
		DropInvalidFields: lenient, ReturnUnknownFieldPaths: paths,
	})
	if err != nil {
		return nil, err
	}
	return append(unknown, dropped...), nil
}
