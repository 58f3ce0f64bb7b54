package openapi

import (
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/septet-io/septet/resource"
)

// MetaSchemas are the schemas of an object's metadata by name, as version 3 has them: what the merge schema of a custom resource
// consists of besides its own.
func MetaSchemas() (map[string]*spec.Schema, error) { return schemasOf(ObjectMeta) }

// Types is the merge schema of a built-in kind, made of its description.
func Types(kind *resource.Kind) (managedfields.TypeConverter, error) {
	name := typeName(kind)
	all, err := schemasOf(name)
	if err != nil {
		return nil, err
	}
	if own := all[name]; own != nil {
		gvk := kind.GroupVersionKind
		own.AddExtension("x-kubernetes-group-version-kind", []any{map[string]any{"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind}})
	}
	return managedfields.NewTypeConverter(all, false)
}

// schemasOf reads a schema and those that it leads to.
func schemasOf(name string) (map[string]*spec.Schema, error) {
	d, err := unpack()
	if err != nil {
		return nil, err
	}
	all := map[string]*spec.Schema{}
	for name, raw := range d.closure([]string{name}) {
		s := &spec.Schema{}
		if err := s.UnmarshalJSON(raw); err != nil {
			return nil, err
		}
		all[name] = s
	}
	return all, nil
}
