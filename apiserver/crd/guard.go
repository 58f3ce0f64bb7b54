package crd

import (
	"fmt"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kube-openapi/pkg/validation/spec"

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
	kind.Warn = func(_ *resource.Request, obj, old resource.Object) []string {
		former := map[string]bool{}
		if old != nil {
			for _, format := range unknownFormats(old.(*apiextensionsv1.CustomResourceDefinition)) {
				former[format] = true
			}
		}
		var warnings []string
		for _, format := range unknownFormats(obj.(*apiextensionsv1.CustomResourceDefinition)) {
			if !former[format] {
				warnings = append(warnings, fmt.Sprintf("unrecognized format %q", format))
			}
		}
		return warnings
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

// unknownFormats are the formats in a definition's schemas that are not checked.
func unknownFormats(crd *apiextensionsv1.CustomResourceDefinition) []string {
	var found []string
	for i := range crd.Spec.Versions {
		s, err := structure(propsOf(&crd.Spec.Versions[i]))
		if err != nil {
			continue
		}
		eachSchema(s.ToKubeOpenAPI(), func(s *spec.Schema) {
			if !knownFormat(s.Type, s.Format) {
				found = append(found, s.Format)
			}
		})
	}
	return found
}

func unstructuredOf(content map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	return u
}
