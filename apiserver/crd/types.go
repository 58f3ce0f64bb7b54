package crd

import (
	"fmt"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/septet-io/septet/apiserver/openapi"
)

// merging is the merge schema of a definition's versions, for tracking who set which field and for server-side apply. It is built when
// the first object is written.
type merging struct {
	build func() (managedfields.TypeConverter, error)
}

func newTypes(crd *apiextensionsv1.CustomResourceDefinition, versions map[string]*version) managedfields.TypeConverter {
	return &merging{sync.OnceValues(func() (managedfields.TypeConverter, error) {
		models, err := models(versions)
		if err != nil {
			return nil, fmt.Errorf("merge schema of %s: %w", crd.Name, err)
		}
		return managedfields.NewTypeConverter(models, crd.Spec.PreserveUnknownFields)
	})}
}

// metaSchemas are those of metadata, read once for all definitions.
var metaSchemas = sync.OnceValues(openapi.MetaSchemas)

// models are the schemas of all versions by name, with what they refer to.
func models(versions map[string]*version) (map[string]*spec.Schema, error) {
	meta, err := metaSchemas()
	if err != nil {
		return nil, err
	}
	all := make(map[string]*spec.Schema, len(meta)+len(versions))
	for name, schema := range meta {
		all[name] = schema
	}
	for _, v := range versions {
		s := v.structure()
		if s != nil && len(structuralschema.ValidateStructural(nil, s)) > 0 {
			s = nil
		}
		schema := native(s, false, v.preserve)
		schema.AddExtension("x-kubernetes-group-version-kind", []any{map[string]any{
			"group": v.gvk.Group, "version": v.gvk.Version, "kind": v.gvk.Kind,
		}})
		all[openapi.CustomName(v.gvk)] = schema
	}
	return all, nil
}

// ObjectToTyped is managedfields.TypeConverter.
func (m *merging) ObjectToTyped(obj runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	converter, err := m.build()
	if err != nil {
		return nil, err
	}
	return converter.ObjectToTyped(obj, options...)
}

// TypedToObject is managedfields.TypeConverter.
func (m *merging) TypedToObject(value *typed.TypedValue) (runtime.Object, error) {
	converter, err := m.build()
	if err != nil {
		return nil, err
	}
	return converter.TypedToObject(value)
}
