package crd

import (
	"encoding/json"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel/common"
	openapierrors "k8s.io/kube-openapi/pkg/validation/errors"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

// values checks values by the OpenAPI part of a schema: types, ranges, patterns, formats, enumerations, …
type values struct {
	whole, status *spec.Schema
	created       *validate.SchemaValidator // for whole; safe for concurrent use
}

func newValues(s *structuralschema.Structural) *values {
	if s == nil {
		return &values{}
	}
	whole := valueSchema(s)
	v := &values{whole: whole, created: validate.NewSchemaValidator(whole, nil, "", strfmt.Default)}
	if status, ok := whole.Properties["status"]; ok {
		v.status = &status
	}
	return v
}

// valueSchema is a schema as the validator reads it.
func valueSchema(s *structuralschema.Structural) *spec.Schema {
	whole := s.ToKubeOpenAPI()
	eachSchema(whole, func(s *spec.Schema) {
		if either, _ := s.Extensions.GetBool("x-kubernetes-int-or-string"); either {
			s.Type = spec.StringOrArray{"integer", "string"}
		}
		if !knownFormat(s.Type, s.Format) {
			s.Format = ""
		}
	})
	return whole
}

// eachSchema calls f with a schema and all inside of it.
func eachSchema(s *spec.Schema, f func(*spec.Schema)) {
	f(s)
	for name, property := range s.Properties {
		eachSchema(&property, f)
		s.Properties[name] = property
	}
	if s.Items != nil && s.Items.Schema != nil {
		eachSchema(s.Items.Schema, f)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		eachSchema(s.AdditionalProperties.Schema, f)
	}
	for _, list := range [][]spec.Schema{s.AllOf, s.AnyOf, s.OneOf} {
		for i := range list {
			eachSchema(&list[i], f)
		}
	}
	if s.Not != nil {
		eachSchema(s.Not, f)
	}
}

// formats are those that are checked, by type; "" stands for strings. Others are taken as remarks.
var formats = map[string]map[string]bool{
	"integer": {"int32": true, "int64": true},
	"number":  {"float": true, "double": true},
	"string": {
		"bsonobjectid": true, "uri": true, "email": true, "hostname": true, "ipv4": true, "ipv6": true, "cidr": true, "mac": true,
		"uuid": true, "uuid3": true, "uuid4": true, "uuid5": true, "isbn": true, "isbn10": true, "isbn13": true, "creditcard": true,
		"ssn": true, "hexcolor": true, "rgbcolor": true, "byte": true, "password": true, "date": true, "duration": true, "datetime": true,
		"k8sshortname": true, "k8slongname": true,
	},
}

// knownFormat says whether a format is checked for a type.
func knownFormat(types []string, format string) bool {
	kind := "string"
	if len(types) == 1 {
		kind = types[0]
	}
	if kind == "string" {
		format = strings.ReplaceAll(format, "-", "")
	}
	return format == "" || formats[kind][format]
}

// create checks a new object.
func (v *values) create(obj any) field.ErrorList {
	if v.created == nil {
		return nil
	}
	return fieldErrors(nil, v.created.Validate(obj))
}

// update checks an object in place of an old one: what was wrong already and has not changed may stay (KEP-4008).
func (v *values) update(obj any, correlated *common.CorrelatedObject) field.ErrorList {
	if v.whole == nil {
		return nil
	}
	return fieldErrors(nil, newRatchet(v.whole, nil, "", strfmt.Default, correlated).Validate(obj))
}

// updateStatus checks a status in place of an old one.
func (v *values) updateStatus(status any, correlated *common.CorrelatedObject) field.ErrorList {
	if v.status == nil {
		return nil
	}
	if correlated == nil {
		return fieldErrors(statusPath, validate.NewSchemaValidator(v.status, nil, "", strfmt.Default).Validate(status))
	}
	return fieldErrors(statusPath, newRatchet(v.status, nil, "", strfmt.Default, correlated).Validate(status))
}

var statusPath = field.NewPath("status")

// fieldErrors are a validator's findings in the API's words.
func fieldErrors(path *field.Path, result *validate.Result) field.ErrorList {
	var errs field.ErrorList
	for _, err := range result.Errors {
		found, ok := err.(*openapierrors.Validation)
		if !ok {
			errs = append(errs, field.Invalid(path, "", err.Error()))
			continue
		}
		at := path
		if name := strings.TrimPrefix(found.Name, "."); name != "" {
			at = at.Child(name)
		}
		errs = append(errs, fieldError(at, found))
	}
	return errs
}

func fieldError(at *field.Path, found *openapierrors.Validation) *field.Error {
	value := found.Value
	if value == nil {
		value = ""
	}
	switch found.Code() {
	case openapierrors.RequiredFailCode:
		return field.Required(at, "")
	case openapierrors.EnumFailCode:
		return field.NotSupported(at, found.Value, words(found.Values))
	case openapierrors.TooLongFailCode:
		return field.TooLong(at, "", number(found.Valid))
	case openapierrors.MaxItemsFailCode, openapierrors.TooManyPropertiesCode:
		return field.TooMany(at, number(found.Value), number(found.Valid))
	case openapierrors.InvalidTypeCode:
		return field.TypeInvalid(at, value, found.Error())
	}
	return field.Invalid(at, value, found.Error())
}

// number is a count in an error; -1 if it does not say.
func number(value any) int {
	if n, ok := value.(int64); ok {
		return int(n)
	}
	return -1
}

// words are the allowed values of an enumeration.
func words(values []any) []string {
	texts := make([]string, 0, len(values))
	for _, value := range values {
		if s, ok := value.(string); ok {
			texts = append(texts, s)
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			continue // it came from JSON, so this does not happen
		}
		texts = append(texts, string(text))
	}
	return texts
}
