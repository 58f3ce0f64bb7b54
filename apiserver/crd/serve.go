package crd

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

// serving is what is served of one definition.
type serving struct {
	uid types.UID
	// looks tells what is served apart; content what its objects are read by. Objects are read anew only when that changes.
	looks, content string
	*stored
	resources []*rest.Resource
}

// serve changes what is served, all at once, as the definitions now say; nil ones are gone.
func (d *Definitions) serve(ctx context.Context, changed map[string]*apiextensionsv1.CustomResourceDefinition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var add []*rest.Resource
	var remove []schema.GroupVersionResource
	var closed []*resource.Kind
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		old := d.served[name]
		next, err := d.next(old, changed[name])
		if err != nil {
			klog.FromContext(ctx).Error(err, "A CustomResourceDefinition cannot be served", "name", name)
		}
		if next == old {
			continue
		}
		remove = append(remove, old.gone(next)...)
		if old != nil && (next == nil || next.stored != old.stored) {
			closed = append(closed, old.kind)
		}
		if next == nil {
			delete(d.served, name)
			continue
		}
		d.served[name] = next
		add = append(add, next.resources...)
	}
	if len(add)+len(remove) > 0 {
		d.config.Resources.Change(add, remove)
	}
	for _, kind := range closed {
		d.config.Close(kind)
	}
}

// next returns what is to be served of a definition in place of what is: the same if nothing matters that has changed, nil for nothing.
func (d *Definitions) next(old *serving, crd *apiextensionsv1.CustomResourceDefinition) (*serving, error) {
	if crd == nil || !isTrue(crd, apiextensionsv1.Established) && !isTrue(crd, apiextensionsv1.NamesAccepted) || d.builtin(crd) {
		return nil, nil
	}
	next := &serving{uid: crd.UID, content: contentTag(crd)}
	next.looks = tag(next.content, crd.Spec, crd.Status.AcceptedNames, isTrue(crd, apiextensionsv1.Terminating))
	if old != nil && old.uid == next.uid && old.looks == next.looks {
		return old, nil
	}
	if old != nil && old.uid == next.uid && old.content == next.content {
		next.stored = old.stored
	} else {
		var err error
		if next.stored, err = d.newStored(crd); err != nil {
			return nil, err
		}
	}
	for i := range crd.Spec.Versions {
		if crd.Spec.Versions[i].Served {
			next.resources = append(next.resources, d.resource(crd, &crd.Spec.Versions[i], next))
		}
	}
	return next, nil
}

// builtin says whether the server has a kind of its own at the place where a definition wants one: it stays.
func (d *Definitions) builtin(crd *apiextensionsv1.CustomResourceDefinition) bool {
	for i := range crd.Spec.Versions {
		gvr := schema.GroupVersionResource{Group: crd.Spec.Group, Version: crd.Spec.Versions[i].Name, Resource: crd.Spec.Names.Plural}
		if r := d.config.Resources.Get(gvr); r != nil && r.Custom == nil {
			return true
		}
	}
	return false
}

// gone are the resources that next has not; both may be nil.
func (s *serving) gone(next *serving) []schema.GroupVersionResource {
	if s == nil {
		return nil
	}
	var gone []schema.GroupVersionResource
	for _, r := range s.resources {
		if next == nil || !slices.ContainsFunc(next.resources, func(n *rest.Resource) bool { return n.Kind.Resource == r.Kind.Resource }) {
			gone = append(gone, r.Kind.Resource)
		}
	}
	return gone
}

// contentTag changes with everything that decides how objects are read and converted.
func contentTag(crd *apiextensionsv1.CustomResourceDefinition) string {
	type version struct {
		Name   string
		Stored bool
		Schema *apiextensionsv1.CustomResourceValidation
		Fields []apiextensionsv1.SelectableField
	}
	versions := make([]version, 0, len(crd.Spec.Versions))
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		versions = append(versions, version{v.Name, v.Storage, v.Schema, v.SelectableFields})
	}
	names := crd.Status.AcceptedNames
	return tag(crd.Spec.Group, crd.Spec.Scope, names.Kind, names.Plural, crd.Spec.PreserveUnknownFields, crd.Spec.Conversion, versions)
}

// tag is short and equal for equal values. Values that cannot be written as JSON do not occur in definitions.
func tag(values ...any) string {
	h := fnv.New128a()
	encoder := json.NewEncoder(h)
	for _, value := range values {
		if err := encoder.Encode(value); err != nil {
			panic("crd: a definition that has been read cannot be written: " + err.Error())
		}
	}
	sum := h.Sum(nil)
	return strconv.Quote(string(sum))
}
