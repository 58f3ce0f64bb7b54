package openapi

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/rest"
)

// addCustom adds the schemas of custom resources and of their lists, in both versions.
func (d *definitions) addCustom(all []*rest.Resource) error {
	for _, r := range all {
		if r.Custom == nil {
			continue
		}
		name := typeName(r.Kind)
		for _, v2 := range []bool{false, true} {
			own, err := r.Custom.Schema(v2)
			if err != nil {
				return err
			}
			list, err := json.Marshal(customList(r, v2))
			if err != nil {
				return err
			}
			into := d.V3
			if v2 {
				into = d.V2
			}
			into[name], into[listName(r.Kind)] = own, list
		}
		if d.custom == nil {
			d.custom = map[string]bool{}
		}
		d.custom[name], d.custom[listName(r.Kind)] = true, true
	}
	return nil
}

// customList is the schema of a list of custom resources.
func customList(r *rest.Resource, v2 bool) object {
	return object{
		"description": r.ListKind + " is a list of " + r.GroupVersionKind.Kind,
		"type":        "object", "required": []string{"items"},
		"properties": object{
			"apiVersion": object{"type": "string", "description": APIVersionText},
			"kind":       object{"type": "string", "description": KindText},
			"metadata": object{
				"description": "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
				"$ref":        Ref(metaTypes+"ListMeta", v2),
			},
			"items": object{
				"description": "List of " + r.Kind.Resource.Resource + ". More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md",
				"type":        "array", "items": object{"$ref": Ref(typeName(r.Kind), v2)},
			},
		},
	}
}

// What every kind says about its type.
const (
	APIVersionText = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"
	KindText       = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
)

// ObjectMeta is the schema name of the metadata of every object.
const ObjectMeta = metaTypes + "ObjectMeta"

// Ref points to a schema of a document of version 3 or 2.
func Ref(name string, v2 bool) string {
	if v2 {
		return "#/definitions/" + name
	}
	return refPrefix + name
}

// CustomName is the schema name of a custom resource.
func CustomName(gvk schema.GroupVersionKind) string { return customName(gvk) }
