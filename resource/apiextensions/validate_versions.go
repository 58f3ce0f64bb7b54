package apiextensions

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func versions(s *apiextensionsv1.CustomResourceDefinitionSpec) field.ErrorList {
	list, path := s.Versions, specPath.Child("versions")
	var errs field.ErrorList
	stored, seen := 0, sets.New[string]()
	for i := range list {
		v, at := &list[i], path.Index(i)
		if v.Storage {
			stored++
		}
		seen.Insert(v.Name)
		if wrong := validation.IsDNS1035Label(v.Name); len(wrong) > 0 {
			errs = append(errs, field.Invalid(at.Child("name"), v.Name, strings.Join(wrong, ",")))
		}
		errs = append(errs, version(s, i)...)
	}
	if seen.Len() < len(list) {
		errs = append(errs, field.Invalid(path, list, "must contain unique version names"))
	}
	if stored != 1 {
		errs = append(errs, field.Invalid(path, list, "must have exactly one version marked as storage version"))
	}
	return errs
}

func version(s *apiextensionsv1.CustomResourceDefinitionSpec, i int) field.ErrorList {
	v, at := &s.Versions[i], specPath.Child("versions").Index(i)
	errs := deprecationWarning(v, at.Child("deprecationWarning"))
	if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
		errs = append(errs, field.Required(at.Child("schema", "openAPIV3Schema"), "schemas are required"))
	} else if schema := Schema.At(s, i); schema != nil {
		schema = schema.Child("openAPIV3Schema")
		if v.Subresources != nil && v.Subresources.Status != nil {
			errs = append(errs, rootWithStatus(v.Schema.OpenAPIV3Schema, schema)...)
		}
		errs = append(errs, validateSchema(v.Schema.OpenAPIV3Schema, schema)...)
	}
	if below := Subresources.At(s, i); below != nil && v.Subresources != nil && v.Subresources.Scale != nil {
		errs = append(errs, scale(v.Subresources.Scale, below.Child("scale"))...)
	}
	if columns := Columns.At(s, i); columns != nil {
		for c := range v.AdditionalPrinterColumns {
			errs = append(errs, printerColumn(&v.AdditionalPrinterColumns[c], columns.Index(c))...)
		}
	}
	return errs
}

// rootFields are those of a schema that may stand at its root where the status is a subresource: it is checked by its own part of the
// schema alone, so nothing may be said about it outside of that.
var rootFields = []string{
	"Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength", "MinLength", "Pattern",
	"MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties", "ExternalDocs", "Example", "XPreserveUnknownFields",
	"XValidations",
}

func rootWithStatus(s *apiextensionsv1.JSONSchemaProps, path *field.Path) field.ErrorList {
	fields := reflect.ValueOf(s).Elem()
	for i := range fields.NumField() {
		switch name := fields.Type().Field(i).Name; {
		case fields.Field(i).IsZero():
		case name == "Type" && s.Type != "object":
			return field.ErrorList{field.Invalid(path.Child("type"), s.Type, `only "object" is allowed as the type at the root of the schema if the status subresource is enabled`)}
		case !slices.Contains(rootFields, name):
			return field.ErrorList{field.Invalid(path, *s, fmt.Sprintf("only %v fields are allowed at the root of the schema if the status subresource is enabled", rootFields))}
		}
	}
	return nil
}

// deprecationWarning: it is sent in a header.
func deprecationWarning(v *apiextensionsv1.CustomResourceDefinitionVersion, path *field.Path) field.ErrorList {
	if v.DeprecationWarning == nil {
		return nil
	}
	text := *v.DeprecationWarning
	var errs field.ErrorList
	invalid := func(detail string) { errs = append(errs, field.Invalid(path, text, detail)) }
	if !v.Deprecated {
		invalid("can only be set for deprecated versions")
		return errs
	}
	if len(text) > 256 {
		invalid("must be <= 256 characters long")
	}
	if text == "" {
		invalid("must not be an empty string")
	}
	for i, r := range text {
		if !unicode.IsPrint(r) {
			invalid(fmt.Sprintf("must only contain printable UTF-8 characters; non-printable character found at index %d", i))
			break
		}
	}
	if !utf8.ValidString(text) {
		invalid("must only contain printable UTF-8 characters")
	}
	return errs
}

func scale(s *apiextensionsv1.CustomResourceSubresourceScale, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	under := func(name, value, root string) {
		switch at := path.Child(name); {
		case value == "":
			errs = append(errs, field.Required(at, ""))
		case value[0] != '.':
			errs = append(errs, field.Invalid(at, value, "must be a simple json path starting with ."))
		case !strings.HasPrefix(value, root+"."):
			errs = append(errs, field.Invalid(at, value, "should be a json path under "+root))
		}
	}
	under("specReplicasPath", s.SpecReplicasPath, ".spec")
	under("statusReplicasPath", s.StatusReplicasPath, ".status")
	if p := s.LabelSelectorPath; p != nil && *p != "" && (*p)[0] != '.' {
		errs = append(errs, field.Invalid(path.Child("labelSelectorPath"), *p, "must be a simple json path starting with ."))
	} else if p != nil && *p != "" && !strings.HasPrefix(*p, ".spec.") && !strings.HasPrefix(*p, ".status.") {
		errs = append(errs, field.Invalid(path.Child("labelSelectorPath"), *p, "should be a json path under either .spec or .status"))
	}
	return errs
}

var columnFormats = []string{"byte", "date", "date-time", "double", "float", "int32", "int64", "password"}

var columnTypes = []string{"boolean", "date", "integer", "number", "string"}

func printerColumn(c *apiextensionsv1.CustomResourceColumnDefinition, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	oneOf := "must be one of " + strings.Join(columnTypes, ",")
	if c.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	if c.Type == "" {
		errs = append(errs, field.Required(at.Child("type"), oneOf))
	} else if !slices.Contains(columnTypes, c.Type) {
		errs = append(errs, field.Invalid(at.Child("type"), c.Type, oneOf))
	}
	if c.Format != "" && !slices.Contains(columnFormats, c.Format) {
		errs = append(errs, field.Invalid(at.Child("format"), c.Format, "must be one of "+strings.Join(columnFormats, ",")))
	}
	if c.JSONPath == "" {
		errs = append(errs, field.Required(at.Child("JSONPath"), ""))
	} else if c.JSONPath[0] != '.' {
		errs = append(errs, field.Invalid(at.Child("JSONPath"), c.JSONPath, "must be a simple json path starting with ."))
	}
	return errs
}
