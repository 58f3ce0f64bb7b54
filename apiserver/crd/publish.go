package crd

import (
	"encoding/json"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/septet-io/septet/apiserver/openapi"
)

// published returns the OpenAPI schema of a version for documents. It is made each time: documents are asked for seldom.
func published(crd *apiextensionsv1.CustomResourceDefinition, v *apiextensionsv1.CustomResourceDefinitionVersion) func(v2 bool) ([]byte, error) {
	return func(v2 bool) ([]byte, error) {
		s, err := structure(propsOf(v))
		if err != nil || len(structuralschema.ValidateStructural(nil, s)) > 0 {
			s = nil
		}
		schema := native(s, v2, crd.Spec.PreserveUnknownFields)
		if paths := selectablePaths(v); len(paths) > 0 && !v2 {
			schema.AddExtension("x-kubernetes-selectable-fields", paths)
		}
		return json.Marshal(schema)
	}
}

func selectablePaths(v *apiextensionsv1.CustomResourceDefinitionVersion) []any {
	var paths []any
	for i := range v.SelectableFields {
		paths = append(paths, map[string]any{"fieldPath": fieldName(v.SelectableFields[i].JSONPath)})
	}
	return paths
}

// native is a structural schema with what every object has. Where kubectl would refuse unknown fields that the schema lets in, a
// document of version 2 says no more than that it is an object.
func native(s *structuralschema.Structural, v2, preserve bool) *spec.Schema {
	if s == nil || v2 && (s.XPreserveUnknownFields || preserve) {
		return new(spec.Schema).Typed("object", "")
	}
	s = s.Unfold()
	if v2 {
		s = forV2(s)
	}
	schema := s.ToKubeOpenAPI()
	schema.SetProperty("metadata", *metadataSchema(v2))
	schema.SetProperty("apiVersion", *text(openapi.APIVersionText))
	schema.SetProperty("kind", *text(openapi.KindText))
	eachSchema(schema, func(s *spec.Schema) { embed(s, v2) })
	return schema
}

func text(description string) *spec.Schema { return spec.StringProperty().WithDescription(description) }

var metadataText = metav1.PartialObjectMetadata{}.SwaggerDoc()["metadata"]

// metadataSchema tells what metadata is for, beside what it consists of. In version 3 of OpenAPI nothing stands beside a reference.
func metadataSchema(v2 bool) *spec.Schema {
	ref := spec.RefSchema(openapi.Ref(openapi.ObjectMeta, v2))
	if !v2 {
		ref = new(spec.Schema).WithAllOf(*ref)
	}
	return ref.WithDescription(metadataText)
}

// embed gives an embedded object what every object has.
func embed(s *spec.Schema, v2 bool) {
	if embedded, _ := s.Extensions.GetBool("x-kubernetes-embedded-resource"); !embedded {
		return
	}
	if open, _ := s.Extensions.GetBool("x-kubernetes-preserve-unknown-fields"); open && v2 {
		return // kubectl would refuse unknown fields beside known ones
	}
	s.SetProperty("apiVersion", *text("apiVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"))
	s.SetProperty("kind", *text("kind is a string value representing the type of this object. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"))
	s.SetProperty("metadata", *metadataSchema(v2))
	for _, name := range []string{"kind", "apiVersion"} {
		if !slices.Contains(s.Required, name) {
			s.Required = append(s.Required, name)
		}
	}
}

// forV2 takes back what version 2 of OpenAPI, or kubectl's reading of it, has no words for: alternatives, null, and fields beside
// unknown ones.
func forV2(s *structuralschema.Structural) *structuralschema.Structural {
	s = s.DeepCopy()
	visitor := structuralschema.Visitor{Structural: func(s *structuralschema.Structural) bool {
		if v := s.ValueValidation; v != nil {
			v.AllOf, v.AnyOf, v.OneOf, v.Not = nil, nil, nil, nil
			v.Required = slices.DeleteFunc(v.Required, func(name string) bool { return s.Properties[name].Nullable })
			if a := s.AdditionalProperties; a != nil && a.Structural != nil && a.Structural.Nullable {
				v.Required = nil
			}
		}
		if s.Nullable {
			s.Type, s.Nullable, s.Items, s.Properties = "", false, nil, nil
		}
		if s.XPreserveUnknownFields {
			s.Items, s.Properties = nil, nil
		}
		if s.Type == "array" && s.Items == nil || s.Type == "object" && s.XPreserveUnknownFields {
			s.Type = ""
		}
		return true
	}}
	visitor.Visit(s)
	return s
}
