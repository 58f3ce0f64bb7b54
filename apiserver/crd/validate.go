package crd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"

	"github.com/septet-io/septet/resource"
)

// rules is how objects of one version are checked.
type rules struct {
	*version
	scale *apiextensionsv1.CustomResourceSubresourceScale // nil: none
}

// create checks a new object.
func (c *rules) create(_ *resource.Request, obj *unstructured.Unstructured) field.ErrorList {
	errs := c.typeErrors(obj)
	if len(errs) > 0 {
		return errs
	}
	s := c.structure()
	errs = append(errs, c.values().create(obj.Object)...)
	errs = append(errs, c.scaleErrors(obj)...)
	errs = append(errs, objectmeta.Validate(nil, obj.Object, s, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s, obj.Object)...)
	return append(errs, c.expressions(errs, obj, nil, nil)...)
}

// update checks an object in place of an old one.
func (c *rules) update(_ *resource.Request, obj, old *unstructured.Unstructured) field.ErrorList {
	errs := c.typeErrors(obj)
	if len(errs) > 0 {
		return errs
	}
	s, correlated := c.structure(), c.correlate(obj, old)
	errs = append(errs, c.values().update(obj.Object, correlated)...)
	errs = append(errs, c.scaleErrors(obj)...)
	errs = append(errs, objectmeta.Validate(nil, obj.Object, s, false)...)
	errs = append(errs, c.listErrors(obj, old)...)
	return append(errs, c.expressions(errs, obj, old, correlated)...)
}

// updateStatus checks an object whose status alone was written.
func (c *rules) updateStatus(_ *resource.Request, obj, old *unstructured.Unstructured) field.ErrorList {
	errs := c.typeErrors(obj)
	if len(errs) > 0 {
		return errs
	}
	correlated := c.correlate(obj, old)
	if status, given := obj.Object["status"]; given && c.structure() != nil {
		errs = append(errs, c.values().updateStatus(status, correlated.Key("status"))...)
	}
	if c.scale != nil {
		errs = append(errs, c.scaleStatusErrors(obj)...)
	}
	errs = append(errs, c.listErrors(obj, old)...)
	return append(errs, c.expressions(errs, obj, old, correlated)...)
}

// correlate pairs the values of an object with those that they take the place of. Nothing is nil but where there is no schema.
func (c *rules) correlate(obj, old *unstructured.Unstructured) *common.CorrelatedObject {
	s := c.structure()
	if s == nil {
		return common.NewCorrelatedObject(obj.Object, old.Object, nil)
	}
	return common.NewCorrelatedObject(obj.Object, old.Object, &model.Structural{Structural: s})
}

// listErrors are sets and maps that have something twice, unless the old object had.
func (c *rules) listErrors(obj, old *unstructured.Unstructured) field.ErrorList {
	errs := listtype.ValidateListSetsAndMaps(nil, c.structure(), obj.Object)
	if len(errs) > 0 && len(listtype.ValidateListSetsAndMaps(nil, c.structure(), old.Object)) > 0 {
		return nil
	}
	return errs
}

// typeErrors make sure that an object is of the version at hand.
func (c *rules) typeErrors(obj *unstructured.Unstructured) field.ErrorList {
	var errs field.ErrorList
	apiVersion, kind := c.gvk.ToAPIVersionAndKind()
	if got := obj.GetKind(); got != kind {
		errs = append(errs, field.Invalid(field.NewPath("kind"), got, "must be "+kind))
	}
	if got := obj.GetAPIVersion(); got != apiVersion {
		errs = append(errs, field.Invalid(field.NewPath("apiVersion"), got, "must be "+apiVersion))
	}
	return errs
}

// blocking are the kinds of errors after which rules in CEL could fail in ways that say nothing.
var blocking = sets.New(field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid)

// expressions evaluates the rules in CEL; errs are the errors so far.
func (c *rules) expressions(errs field.ErrorList, obj, old *unstructured.Unstructured, correlated *common.CorrelatedObject) field.ErrorList {
	if slices.ContainsFunc(errs, func(err *field.Error) bool { return blocking.Has(err.Type) }) {
		return field.ErrorList{field.Invalid(nil, nil, "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation")}
	}
	validator := c.shelf.rules(c.version)
	if validator == nil {
		return nil
	}
	// A nil map must not become an old object that is not nil.
	var before any
	var options []cel.Option
	if old != nil {
		before, options = old.Object, []cel.Option{cel.WithRatcheting(correlated)}
	}
	found, _ := validator.Validate(context.Background(), nil, c.structure(), obj.Object, before, celconfig.RuntimeCELCostBudget, options...)
	return found
}

// warn remarks on finalizers that could be mistaken for somebody else's; old is nil for a new object.
func warn(_ *resource.Request, obj, old *unstructured.Unstructured) []string {
	added := sets.New(obj.GetFinalizers()...)
	if old != nil {
		added.Delete(old.GetFinalizers()...)
	}
	var warnings []string
	for _, name := range sets.List(added) {
		for _, text := range validation.IsQualifiedName(name) {
			warnings = append(warnings, fmt.Sprintf("metadata.finalizers: %q: %s", name, text))
		}
		if strings.Contains(name, "/") || ownFinalizers.Has(name) {
			continue
		}
		path := ""
		if strings.Contains(name, ".") {
			path = " including a path (/)"
		}
		warnings = append(warnings, fmt.Sprintf("metadata.finalizers: %q: prefer a domain-qualified finalizer name%s to avoid accidental conflicts with other finalizer writers", name, path))
	}
	return warnings
}

// ownFinalizers are Kubernetes' own.
var ownFinalizers = sets.New(metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents, string(corev1.FinalizerKubernetes))
