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
	errs := (&walk{root: true}).supported(props, path)
	if props.Nullable {
		errs = append(errs, field.Forbidden(path.Child("nullable"), "nullable cannot be true at the root"))
	}
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

// walk is what must be known of the way down to a place in a schema.
type walk struct {
	root bool
	// meta: inside of the metadata of an object, its own or that of an embedded one.
	meta bool
	// noDefault, when set, is why there may be no default.
	noDefault string
}

// supported walks a schema and refuses what objects could not be checked or merged by.
func (w *walk) supported(s *apiextensionsv1.JSONSchemaProps, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := append(w.unsupportedFields(s, path), listErrors(s, path)...)
	below := &walk{meta: w.meta, noDefault: w.noDefault}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		errs = append(errs, w.property(s, name).supported(&p, path.Child("properties").Key(name))...)
	}
	if s.AdditionalProperties != nil {
		inside := *below
		if w.meta {
			inside.noDefault = "inside additionalProperties applying to object metadata"
		}
		errs = append(errs, inside.supported(s.AdditionalProperties.Schema, path.Child("additionalProperties"))...)
	}
	if s.Items != nil {
		errs = append(errs, below.supported(s.Items.Schema, path.Child("items"))...)
	}
	for name, list := range map[string][]apiextensionsv1.JSONSchemaProps{"allOf": s.AllOf, "anyOf": s.AnyOf, "oneOf": s.OneOf} {
		for i := range list {
			errs = append(errs, below.supported(&list[i], path.Child(name).Index(i))...)
		}
	}
	return append(errs, below.supported(s.Not, path.Child("not"))...)
}

// property is the way into a property.
func (w *walk) property(s *apiextensionsv1.JSONSchemaProps, name string) *walk {
	below := &walk{meta: w.meta, noDefault: w.noDefault}
	if (w.root || s.XEmbeddedResource) && (name == "metadata" || name == "kind" || name == "apiVersion") {
		below.meta = true
		if w.root {
			below.noDefault = "in top-level " + name
		}
	}
	return below
}

func (w *walk) unsupportedFields(s *apiextensionsv1.JSONSchemaProps, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	forbid := func(given bool, name, detail string) {
		if given {
			errs = append(errs, field.Forbidden(path.Child(name), detail))
		}
	}
	forbid(s.Default != nil && w.noDefault != "", "default", "must not be set "+w.noDefault)
	forbid(s.ID != "", "id", "id is not supported")
	forbid(s.UniqueItems, "uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic")
	if a := s.AdditionalProperties; a != nil {
		forbid(len(s.Properties) > 0 && (!a.Allows || a.Schema != nil), "additionalProperties", "additionalProperties and properties are mutual exclusive")
	}
	forbid(s.Ref != nil, "$ref", "$ref is not supported")
	forbid(len(s.Definitions) > 0, "definitions", "definitions is not supported")
	forbid(len(s.Dependencies) > 0, "dependencies", "dependencies is not supported")
	forbid(len(s.PatternProperties) > 0, "patternProperties", "patternProperties is not supported")
	forbid(s.AdditionalItems != nil, "additionalItems", "additionalItems is not supported")
	forbid(s.Items != nil && len(s.Items.JSONSchemas) > 0, "items", "items must be a schema object and not an array")
	forbid(s.Type == "null", "type", "type cannot be set to null, use nullable as an alternative")
	forbid(w.meta && s.XEmbeddedResource, "x-kubernetes-embedded-resource", "must not be used inside of resource meta")
	if s.XPreserveUnknownFields != nil && !*s.XPreserveUnknownFields {
		errs = append(errs, field.Invalid(path.Child("x-kubernetes-preserve-unknown-fields"), false, "must be true or undefined"))
	}
	if s.Type != "" && s.Type != "null" {
		errs = append(errs, core.OneOf(s.Type, path.Child("type"), "array", "boolean", "integer", "number", "object", "string")...)
	}
	if _, err := regexp.Compile(s.Pattern); err != nil {
		errs = append(errs, field.Invalid(path.Child("pattern"), s.Pattern, "must be a valid regular expression, but isn't: "+err.Error()))
	}
	return errs
}
