package crd

import (
	"reflect"

	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

// ratchet checks a value in place of an old one and lets errors pass where nothing has changed. It goes down the value in step with
// the validator, which asks for one for each property and item.
type ratchet struct {
	schema     *spec.Schema
	root       any
	path       string
	formats    strfmt.Registry
	correlated *common.CorrelatedObject
	options    []validate.Option
}

func newRatchet(schema *spec.Schema, root any, path string, formats strfmt.Registry, correlated *common.CorrelatedObject, options ...validate.Option) *ratchet {
	return &ratchet{schema, root, path, formats, correlated, options}
}

// Validate is validate.ValueValidator. The value is the correlated one.
func (r *ratchet) Validate(any) *validate.Result {
	options := append([]validate.Option{func(o *validate.SchemaValidatorOptions) {
		o.NewValidatorForField, o.NewValidatorForIndex = r.field, r.index
	}}, r.options...)
	result := validate.NewSchemaValidator(r.schema, r.root, r.path, r.formats, options...).Validate(r.correlated.Value)
	if result.IsValid() || !r.correlated.CachedDeepEqual() {
		return result
	}
	passed := &validate.Result{}
	passed.MergeAsWarnings(result)
	return passed
}

func (r *ratchet) field(name string, schema *spec.Schema, root any, path string, formats strfmt.Registry, options ...validate.Option) validate.ValueValidator {
	below := r.correlated.Key(name)
	// Both objects were converted to one version, so a change of type cannot be seen.
	if typed := r.path == "" && (name == "kind" || name == "apiVersion"); below == nil || typed {
		return validate.NewSchemaValidator(schema, root, path, formats, options...)
	}
	return newRatchet(schema, root, path, formats, below, options...)
}

func (r *ratchet) index(i int, schema *spec.Schema, root any, path string, formats strfmt.Registry, options ...validate.Option) validate.ValueValidator {
	below := r.correlated.Index(i)
	if below == nil {
		return validate.NewSchemaValidator(schema, root, path, formats, options...)
	}
	return newRatchet(schema, root, path, formats, below, options...)
}

// SetPath is validate.ValueValidator; the path is known.
func (r *ratchet) SetPath(string) {}

// Applies is validate.ValueValidator.
func (r *ratchet) Applies(any, reflect.Kind) bool { return true }
