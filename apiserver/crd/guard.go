package crd

import (
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

// guard adds to the definitions' own Resource what needs the machinery of custom resources: that rules in CEL and defaults are valid,
// and that a definition does not go before its objects.
func guard(own *rest.Resource) {
	kind := *own.Kind
	validate, validateUpdate := kind.Validate, kind.ValidateUpdate
	kind.Validate = func(r *resource.Request, obj resource.Object) field.ErrorList {
		errs := validate(r, obj)
		return append(errs, schemaErrors(obj.(*apiextensionsv1.CustomResourceDefinition), nil, len(errs) > 0)...)
	}
	kind.ValidateUpdate = func(r *resource.Request, obj, old resource.Object) field.ErrorList {
		errs := validateUpdate(r, obj, old)
		return append(errs, schemaErrors(obj.(*apiextensionsv1.CustomResourceDefinition), old.(*apiextensionsv1.CustomResourceDefinition), len(errs) > 0)...)
	}
	own.Kind = &kind
	own.Hooks.Held = func(obj resource.Object) bool { return obj.GetDeletionTimestamp() == nil }
	own.Hooks.OnMark = markDeleted
}

// markDeleted holds a definition that is being deleted until its objects are.
func markDeleted(obj resource.Object) {
	crd := obj.(*apiextensionsv1.CustomResourceDefinition)
	if condition(crd, apiextensionsv1.Terminating) != nil {
		return // marked before
	}
	if !slices.Contains(crd.Finalizers, cleanup) {
		crd.Finalizers = append(crd.Finalizers, cleanup)
	}
	setCondition(&crd.Status, terminating(apiextensionsv1.ConditionTrue, "InstanceDeletionPending",
		"CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"), time.Now())
}

func unstructuredOf(content map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	return u
}
