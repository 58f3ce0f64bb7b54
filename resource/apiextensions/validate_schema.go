package apiextensions

import (
	"maps"
	"regexp"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource/core"
)

// validateSchema demands a schema of the parts of OpenAPI that are supported, and which tells the structure of objects.
// Its rules in CEL are checked when they are compiled, by the server of the custom resources.
func validateSchema(props *apiextensionsv1.JSONSchemaProps, path *field.Path) field.ErrorList {
	errs := supported(props, path)
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil); err != nil {
		return append(errs, field.Invalid(path, "", err.Error()))
	}
	structural, err := structuralschema.NewStructural(&internal)
	if err != nil {
		if len(errs) > 0 {
			return errs // said already, and more clearly
		}
		return append(errs, field.Invalid(path, "", err.Error()))
	}
	return append(errs, structuralschema.ValidateStructural(path, structural)...)
}

// supported walks a schema and refuses what objects could not be checked or merged by.
func supported(s *apiextensionsv1.JSONSchemaProps, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := unsupportedFields(s, path)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		errs = append(errs, supported(&p, path.Child("properties").Key(name))...)
	}
	if s.AdditionalProperties != nil {
		errs = append(errs, supported(s.AdditionalProperties.Schema, path.Child("additionalProperties"))...)
	}
	if s.Items != nil {
		errs = append(errs, supported(s.Items.Schema, path.Child("items"))...)
	}
	errs = append(errs, allSupported(s.AllOf, path.Child("allOf"))...)
	errs = append(errs, allSupported(s.AnyOf, path.Child("anyOf"))...)
	errs = append(errs, allSupported(s.OneOf, path.Child("oneOf"))...)
	return append(errs, supported(s.Not, path.Child("not"))...)
}

func allSupported(list []apiextensionsv1.JSONSchemaProps, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		errs = append(errs, supported(&list[i], path.Index(i))...)
	}
	return errs
}

func unsupportedFields(s *apiextensionsv1.JSONSchemaProps, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	forbid := func(given bool, name, detail string) {
		if given {
			errs = append(errs, field.Forbidden(path.Child(name), detail))
		}
	}
	forbid(s.UniqueItems, "uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic")
	if a := s.AdditionalProperties; a != nil {
		forbid(len(s.Properties) > 0 && (a.Allows || a.Schema != nil), "additionalProperties", "additionalProperties and properties are mutual exclusive")
		forbid(!a.Allows && a.Schema == nil, "additionalProperties", "additionalProperties cannot be set to false")
	}
	forbid(s.Ref != nil, "$ref", "$ref is not supported")
	forbid(len(s.Definitions) > 0, "definitions", "definitions is not supported")
	forbid(len(s.Dependencies) > 0, "dependencies", "dependencies is not supported")
	forbid(len(s.PatternProperties) > 0, "patternProperties", "patternProperties is not supported")
	forbid(s.AdditionalItems != nil, "additionalItems", "additionalItems is not supported")
	forbid(s.Items != nil && len(s.Items.JSONSchemas) > 0, "items", "items must be a schema object and not an array")
	forbid(s.Type == "null", "type", "type cannot be set to null, use nullable as an alternative")
	if s.Type != "" && s.Type != "null" {
		errs = append(errs, core.OneOf(s.Type, path.Child("type"), "array", "boolean", "integer", "number", "object", "string")...)
	}
	if _, err := regexp.Compile(s.Pattern); err != nil {
		errs = append(errs, field.Invalid(path.Child("pattern"), s.Pattern, "must be a valid regular expression, but isn't: "+err.Error()))
	}
	return errs
}
