package crd

import (
	"context"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource/apiextensions"
)

// Bounds of what rules may cost by estimate, as upstream: one rule, and all of a version.
const (
	maxRuleCost    = 10_000_000
	maxVersionCost = 100_000_000
)

// schemaErrors checks the defaults and the rules in CEL of all versions. old is nil for a new definition; what was in it is not held
// to newer limits. Schemas that are wrong otherwise are left alone.
func schemaErrors(crd, old *apiextensionsv1.CustomResourceDefinition, wrong bool) field.ErrorList {
	if wrong {
		return nil
	}
	known := knownExpressions(old)
	var errs field.ErrorList
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		s, err := structure(propsOf(v))
		if err != nil {
			continue // old ones without structure
		}
		path := apiextensions.Schema.At(&crd.Spec, i)
		if path == nil {
			continue
		}
		path = path.Child("openAPIV3Schema")
		found, err := defaulting.ValidateDefaults(context.Background(), path, s, true, true)
		if err != nil {
			found = append(found, field.Invalid(path, "", err.Error()))
		}
		if fields := apiextensions.SelectableFields.At(&crd.Spec, i); fields != nil {
			found = append(found, selectableErrors(v, s, fields, old)...)
		}
		if len(found) == 0 && hasRules(s) {
			c := &checker{known: known, unchanged: unchanged(v, old)}
			c.node(&place{schema: s, path: path, root: true, many: once})
			found = append(c.errs, c.totalErrors(path)...)
		}
		errs = append(errs, found...)
	}
	return errs
}

// unchanged says whether a version's schema is what it was.
func unchanged(v *apiextensionsv1.CustomResourceDefinitionVersion, old *apiextensionsv1.CustomResourceDefinition) bool {
	if old == nil {
		return false
	}
	i := slices.IndexFunc(old.Spec.Versions, func(o apiextensionsv1.CustomResourceDefinitionVersion) bool { return o.Name == v.Name })
	return i >= 0 && apiequality.Semantic.DeepEqual(old.Spec.Versions[i].Schema, v.Schema)
}

// known are expressions that were there before: they are compiled with everything that was ever allowed.
type known struct{ rules, messages sets.Set[string] }

func knownExpressions(old *apiextensionsv1.CustomResourceDefinition) *known {
	k := &known{sets.New[string](), sets.New[string]()}
	if old == nil {
		return k
	}
	for i := range old.Spec.Versions {
		s, err := structure(propsOf(&old.Spec.Versions[i]))
		if err != nil {
			continue
		}
		eachRules(s, func(rules apiextensionsv1.ValidationRules) {
			for _, rule := range rules {
				k.rules.Insert(rule.Rule)
				k.messages.Insert(rule.MessageExpression)
			}
		})
	}
	return k
}

// eachRules calls f with the rules of each place of a schema.
func eachRules(s *structuralschema.Structural, f func(apiextensionsv1.ValidationRules)) {
	visitor := structuralschema.Visitor{
		Structural: func(s *structuralschema.Structural) bool { f(s.XValidations); return false },
		NestedValueValidation: func(v *structuralschema.NestedValueValidation) bool {
			f(v.ValidationExtensions.XValidations)
			return false
		},
	}
	visitor.Visit(s)
}

func hasRules(s *structuralschema.Structural) bool {
	found := false
	eachRules(s, func(rules apiextensionsv1.ValidationRules) { found = found || len(rules) > 0 })
	return found
}

// maxSelectable is how many fields of a version may be selectable.
const maxSelectable = 8

// selectableErrors checks that fields to select by exist, are simple and are named once.
func selectableErrors(v *apiextensionsv1.CustomResourceDefinitionVersion, s *structuralschema.Structural, path *field.Path, old *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i := range v.SelectableFields {
		at, text := path.Index(i).Child("jsonPath"), v.SelectableFields[i].JSONPath
		if text == "" {
			errs = append(errs, field.Required(at, ""))
			continue
		}
		found, below, err := cel.ValidFieldPath(text, s, cel.WithFieldPathAllowArrayNotation(false))
		if err != nil {
			errs = append(errs, field.Invalid(at, text, "is an invalid path: "+err.Error()))
			continue
		}
		if found.Root().String() == "metadata" {
			errs = append(errs, field.Invalid(at, text, "must not point to fields in metadata"))
		}
		if below == nil || below.Type != "string" && below.Type != "boolean" && below.Type != "integer" {
			errs = append(errs, field.Invalid(at, text, "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."))
		}
		if seen.Has(found.String()) {
			errs = append(errs, field.Duplicate(at, text))
		}
		seen.Insert(found.String())
	}
	if seen.Len() > maxSelectable && !hadAsMany(v, old) {
		errs = append(errs, field.TooMany(path, seen.Len(), maxSelectable))
	}
	return errs
}

// hadAsMany says whether a version's selectable fields are what they were.
func hadAsMany(v *apiextensionsv1.CustomResourceDefinitionVersion, old *apiextensionsv1.CustomResourceDefinition) bool {
	return old != nil && slices.ContainsFunc(old.Spec.Versions, func(o apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return o.Name == v.Name && apiequality.Semantic.DeepEqual(o.SelectableFields, v.SelectableFields)
	})
}
