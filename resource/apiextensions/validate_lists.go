package apiextensions

import (
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource/core"
)

// listErrors checks what a schema says about how maps and lists are merged: that they can be told apart, and by what.
func listErrors(s *apiextensionsv1.JSONSchemaProps, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.XMapType != nil {
		errs = append(errs, mustBe("object", s, path, "x-kubernetes-map-type")...)
		errs = append(errs, core.OneOf(*s.XMapType, path.Child("x-kubernetes-map-type"), "atomic", "granular")...)
	}
	list := ""
	if s.XListType != nil {
		list = *s.XListType
		errs = append(errs, mustBe("array", s, path, "x-kubernetes-list-type")...)
		errs = append(errs, core.OneOf(list, path.Child("x-kubernetes-list-type"), "atomic", "set", "map")...)
	}
	if len(s.XListMapKeys) > 0 && list != "map" {
		const detail = "must be map if x-kubernetes-list-map-keys is non-empty"
		if s.XListType == nil {
			errs = append(errs, field.Required(path.Child("x-kubernetes-list-type"), detail))
		} else {
			errs = append(errs, field.Invalid(path.Child("x-kubernetes-list-type"), list, detail))
		}
	}
	if (list == "set" || list == "map") && s.Items != nil && s.Items.Schema != nil && s.Items.Schema.Nullable {
		errs = append(errs, field.Forbidden(path.Child("items", "nullable"), "cannot be nullable when x-kubernetes-list-type is "+list))
	}
	switch list {
	case "set":
		errs = append(errs, setErrors(s, path)...)
	case "map":
		errs = append(errs, mapErrors(s, path)...)
	}
	return errs
}

func mustBe(wanted string, s *apiextensionsv1.JSONSchemaProps, path *field.Path, because string) field.ErrorList {
	detail := "must be " + wanted + " if " + because + " is specified"
	switch s.Type {
	case wanted:
		return nil
	case "":
		return field.ErrorList{field.Required(path.Child("type"), detail)}
	}
	return field.ErrorList{field.Invalid(path.Child("type"), s.Type, detail)}
}

// setErrors: members of a set are compared as a whole.
func setErrors(s *apiextensionsv1.JSONSchemaProps, path *field.Path) field.ErrorList {
	if s.Type != "array" || s.Items == nil || s.Items.Schema == nil {
		return nil
	}
	const detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
	switch item := s.Items.Schema; {
	case item.Type == "array" && item.XListType != nil && *item.XListType != "atomic":
		return field.ErrorList{field.Invalid(path.Child("items", "x-kubernetes-list-type"), item.XListType, detail)}
	case item.Type == "object" && (item.XMapType == nil || *item.XMapType != "atomic"):
		return field.ErrorList{field.Invalid(path.Child("items", "x-kubernetes-map-type"), item.XListType, detail)}
	}
	return nil
}

// mapErrors: the keys of a list's items must always be there, and be simple.
func mapErrors(s *apiextensionsv1.JSONSchemaProps, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	keys := path.Child("x-kubernetes-list-map-keys")
	if len(s.XListMapKeys) == 0 {
		errs = append(errs, field.Required(keys, "must not be empty if x-kubernetes-list-type is map"))
	}
	if s.Items == nil {
		return append(errs, field.Required(path.Child("items"), "must have a schema if x-kubernetes-list-type is map"))
	}
	item := s.Items.Schema
	if item == nil {
		return append(errs, field.Invalid(path.Child("items"), s.Items, "must only have a single schema if x-kubernetes-list-type is map"))
	}
	if item.Type != "object" {
		errs = append(errs, field.Invalid(path.Child("items", "type"), item.Type, "must be object if parent array's x-kubernetes-list-type is map"))
	}
	for i, key := range s.XListMapKeys {
		property, known := item.Properties[key]
		at := path.Child("items", "properties").Key(key)
		switch {
		case item.Type == "object" && !known:
			errs = append(errs, field.Invalid(keys, s.XListMapKeys, "entries must all be names of item properties"))
		case item.Type == "object" && (property.Type == "array" || property.Type == "object"):
			errs = append(errs, field.Invalid(at.Child("type"), item.Type, "must be a scalar type if parent array's x-kubernetes-list-type is map"))
		}
		if item.Type == "object" && slices.Contains(s.XListMapKeys[:i], key) {
			errs = append(errs, field.Invalid(keys, s.XListMapKeys, "must not contain duplicate entries"))
		}
		if !known {
			continue
		}
		if !slices.Contains(item.Required, key) && property.Default == nil {
			errs = append(errs, field.Required(at.Child("default"), "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"))
		}
		if property.Nullable {
			errs = append(errs, field.Forbidden(at.Child("nullable"), "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"))
		}
	}
	return errs
}
