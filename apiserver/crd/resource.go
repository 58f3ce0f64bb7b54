package crd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubeversion "k8s.io/apimachinery/pkg/version"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

// resource makes a served version a Resource like any other.
func (d *Definitions) resource(crd *apiextensionsv1.CustomResourceDefinition, v *apiextensionsv1.CustomResourceDefinitionVersion, s *serving) *rest.Resource {
	own := s.versions[v.Name]
	c := &rules{version: own}
	names := &crd.Status.AcceptedNames
	definition := resource.Definition[*unstructured.Unstructured]{
		Group: crd.Spec.Group, Version: v.Name, Kind: names.Kind, Plural: names.Plural, Singular: names.Singular, ListKind: names.ListKind,
		Short: names.ShortNames, Categories: names.Categories, Scope: scopeOf(crd), StorageKey: s.kind.StorageKey,
		Generation: true, RequireVersion: true,
		Default: own.fill, Validate: c.create, ValidateUpdate: c.update, Warn: warn,
		Columns: columns(crd.Name, v), Fields: selectable(v.SelectableFields),
		StoredAs: s.kind, To: s.to(s.kind.GroupVersionKind.Version), From: s.to(v.Name),
	}
	if v.Subresources != nil && v.Subresources.Status != nil {
		definition.Views = []resource.View[*unstructured.Unstructured]{{Name: "status", Prepare: keepAllButStatus, Validate: c.updateStatus}}
	}
	if v.Subresources != nil {
		c.scale = v.Subresources.Scale
		definition.Scale = scaleOf(v.Subresources.Scale)
	}
	_, batch := s.convert.(*webhook)
	r := rest.NewCustom(resource.Define(definition), d.config.Env, s.open, &rest.Custom{
		Types: newTypes(crd, s.versions), Schema: published(crd, v), Tag: s.looks, Coerce: own.coerce, Batch: batch,
	})
	r.Deprecation = deprecation(crd, v)
	if batch {
		r.Open = s.selecting(r)
	}
	if isTrue(crd, apiextensionsv1.Terminating) {
		r.Hooks.BeforeCreate = refuseTerminating(r)
	}
	return r
}

// keepAllButStatus is the status view: everything else comes from old, but for who set what.
func keepAllButStatus(_ *resource.Request, obj, old *unstructured.Unstructured) {
	status, given := obj.Object["status"]
	managed := obj.GetManagedFields()
	obj.Object = old.DeepCopy().Object
	obj.SetManagedFields(managed)
	if given {
		obj.Object["status"] = status
	} else {
		delete(obj.Object, "status")
	}
}

// refuseTerminating lets nothing new come while a definition goes.
func refuseTerminating(r *rest.Resource) func(context.Context, *resource.Request, resource.Object) (rest.Undo, error) {
	return func(_ context.Context, _ *resource.Request, obj resource.Object) (rest.Undo, error) {
		return nil, apierrors.NewForbidden(r.GroupResource(), obj.GetName(), errors.New("create not allowed while custom resource definition is terminating"))
	}
}

// deprecation is the warning for requests to a version; empty if it is not deprecated.
func deprecation(crd *apiextensionsv1.CustomResourceDefinition, v *apiextensionsv1.CustomResourceDefinitionVersion) string {
	if !v.Deprecated {
		return ""
	}
	if v.DeprecationWarning != nil {
		return *v.DeprecationWarning
	}
	text := fmt.Sprintf("%s/%s %s is deprecated", crd.Spec.Group, v.Name, crd.Spec.Names.Kind)
	var better []string
	for i := range crd.Spec.Versions {
		other := &crd.Spec.Versions[i]
		if other.Served && !other.Deprecated && kubeversion.CompareKubeAwareVersionStrings(v.Name, other.Name) < 0 {
			better = append(better, other.Name)
		}
	}
	if len(better) == 0 {
		return text
	}
	newest := slices.MaxFunc(better, kubeversion.CompareKubeAwareVersionStrings)
	return text + fmt.Sprintf("; use %s/%s %s", crd.Spec.Group, newest, crd.Spec.Names.Kind)
}
