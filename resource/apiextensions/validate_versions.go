package apiextensions

import (
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func versions(list []apiextensionsv1.CustomResourceDefinitionVersion, path *field.Path) field.ErrorList {
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
		errs = append(errs, version(v, at)...)
	}
	if seen.Len() < len(list) {
		errs = append(errs, field.Invalid(path, list, "must contain unique version names"))
	}
	if stored != 1 {
		errs = append(errs, field.Invalid(path, list, "must have exactly one version marked as storage version"))
	}
	return errs
}

func version(v *apiextensionsv1.CustomResourceDefinitionVersion, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if v.DeprecationWarning != nil && !v.Deprecated {
		errs = append(errs, field.Invalid(at.Child("deprecationWarning"), *v.DeprecationWarning, "can only be set for deprecated versions"))
	}
	if schema := at.Child("schema", "openAPIV3Schema"); v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
		errs = append(errs, field.Required(schema, "schemas are required"))
	} else {
		errs = append(errs, validateSchema(v.Schema.OpenAPIV3Schema, schema)...)
	}
	if v.Subresources != nil && v.Subresources.Scale != nil {
		errs = append(errs, scale(v.Subresources.Scale, at.Child("subresources", "scale"))...)
	}
	for i := range v.AdditionalPrinterColumns {
		errs = append(errs, printerColumn(&v.AdditionalPrinterColumns[i], at.Child("additionalPrinterColumns").Index(i))...)
	}
	return errs
}

func scale(s *apiextensionsv1.CustomResourceSubresourceScale, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	under := func(name, value, root string) {
		switch at := path.Child(name); {
		case value == "":
			errs = append(errs, field.Required(at, ""))
		case !strings.HasPrefix(value, root+"."):
			errs = append(errs, field.Invalid(at, value, "should be a json path under "+root))
		}
	}
	under("specReplicasPath", s.SpecReplicasPath, ".spec")
	under("statusReplicasPath", s.StatusReplicasPath, ".status")
	if p := s.LabelSelectorPath; p != nil && *p != "" && !strings.HasPrefix(*p, ".spec.") && !strings.HasPrefix(*p, ".status.") {
		errs = append(errs, field.Invalid(path.Child("labelSelectorPath"), *p, "should be a json path under either .spec or .status"))
	}
	return errs
}

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
	if c.JSONPath == "" {
		errs = append(errs, field.Required(at.Child("JSONPath"), ""))
	}
	return errs
}
