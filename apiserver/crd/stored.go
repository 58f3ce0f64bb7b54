package crd

import (
	"fmt"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// stored is the objects of a definition as they lie in etcd. Each stays in the version in which it was written until it is written
// again; Resources convert what they show.
type stored struct {
	// kind is that of the storage version.
	kind     *resource.Kind
	versions map[string]*version // by name; all of them, served or not
	convert  converter
	open     func() store.Store
}

// newStored binds a definition to its objects. Nothing is read before the first use.
func (d *Definitions) newStored(crd *apiextensionsv1.CustomResourceDefinition) (*stored, error) {
	s := &stored{versions: map[string]*version{}}
	storage := ""
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		s.versions[v.Name] = d.newVersion(crd, v)
		if v.Storage {
			storage = v.Name
		}
	}
	if storage == "" {
		return nil, fmt.Errorf("definition %s has no storage version", crd.Name)
	}
	var err error
	if s.convert, err = d.newConverter(crd, s.versions); err != nil {
		return nil, err
	}
	s.kind = resource.Define(resource.Definition[*unstructured.Unstructured]{
		Group: crd.Spec.Group, Version: storage, Kind: crd.Status.AcceptedNames.Kind, Plural: crd.Spec.Names.Plural,
		Scope: scopeOf(crd), StorageKey: crd.Spec.Group + "/" + crd.Spec.Names.Plural, Fields: allFields(crd),
	})
	s.open = sync.OnceValue(func() store.Store { return d.config.Open(s.kind, codec{store.JSONCodec(s.kind), s}) })
	return s, nil
}

func scopeOf(crd *apiextensionsv1.CustomResourceDefinition) resource.Scope {
	if crd.Spec.Scope == apiextensionsv1.ClusterScoped {
		return resource.Cluster
	}
	return resource.Namespaced
}

// codec is JSON, read as the schema of its version is now: fields that are no longer in it are dropped, defaults filled in.
type codec struct {
	store.Codec
	stored *stored
}

// Decode is store.Codec.
func (c codec) Decode(data []byte) (resource.Object, error) {
	content := map[string]any{}
	if err := utiljson.Unmarshal(data, &content); err != nil {
		return nil, err
	}
	obj := &unstructured.Unstructured{Object: content}
	gv, err := schema.ParseGroupVersion(obj.GetAPIVersion())
	if err != nil {
		return nil, err
	}
	v := c.stored.versions[gv.Version]
	if v == nil || gv.Group != c.stored.kind.GroupVersionKind.Group {
		return obj, nil // converting it will fail, which says more
	}
	if err := v.repair(obj); err != nil {
		return nil, err
	}
	v.fill(obj)
	return obj, nil
}
