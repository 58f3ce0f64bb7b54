package rest

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// convert returns an object of one served version as one of another, by way of the stored one. The result is a new object.
func convert(obj resource.Object, from, to *resource.Kind) (resource.Object, error) {
	objects := []resource.Object{obj}
	var err error
	if from.StoredAs != nil {
		if objects, err = from.To(objects); err != nil {
			return nil, err
		}
	}
	if to.StoredAs != nil {
		if objects, err = to.From(objects); err != nil {
			return nil, err
		}
	}
	converted := objects[0]
	if converted == obj {
		converted = obj.DeepCopyObject().(resource.Object)
	}
	converted.GetObjectKind().SetGroupVersionKind(to.GroupVersionKind)
	return converted, nil
}

// Convert returns an object as one of another version in which it is served too. The object itself does not change. NotRegistered
// errors are returned for kinds that are not served.
func (a *Resources) Convert(obj runtime.Object, from, to schema.GroupVersionKind) (resource.Object, error) {
	source, target := a.byKind[from], a.byKind[to]
	for gvk, r := range map[schema.GroupVersionKind]*Resource{from: source, to: target} {
		if r == nil {
			return nil, runtime.NewNotRegisteredErrForKind("server", gvk)
		}
	}
	current, ok := obj.(resource.Object)
	if !ok {
		return nil, fmt.Errorf("%T has no metadata", obj)
	}
	return convert(current, source.Kind, target.Kind)
}

// Equivalent returns the other resources that show the very same objects, in other versions or groups, in order of their adding,
// as far as they have the subresource too.
func (a *Resources) Equivalent(gvr schema.GroupVersionResource, subresource string) []*Resource {
	self := a.byName[gvr]
	if self == nil {
		return nil
	}
	related := a.byRoot[root(self.Kind)]
	for _, r := range a.byGroup[self.GroupResource()] {
		if !slices.Contains(related, r) {
			related = append(related[:len(related):len(related)], r)
		}
	}
	if len(related) < 2 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(related), func(r *Resource) bool { return r == self || !r.Has(subresource) })
}

// root is the kind in which objects of a kind are stored.
func root(kind *resource.Kind) *resource.Kind {
	for kind.StoredAs != nil {
		kind = kind.StoredAs
	}
	return kind
}

// BodyKind is the kind of what is sent to the resource or to one of its subresources: Pod, Scale, Eviction, …
func (r *Resource) BodyKind(subresource string) schema.GroupVersionKind {
	if subresource == "scale" && r.Scale != nil {
		return scales.GroupVersionKind
	}
	for i := range r.Connectors {
		if r.Connectors[i].Name == subresource && r.View(subresource) == nil {
			return r.Connectors[i].Kind
		}
	}
	return r.GroupVersionKind
}
