package openapi

import (
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

type (
	// object is a JSON object; its keys are written sorted.
	object = map[string]any
	// parameter is a query or path parameter.
	parameter struct {
		Description string `json:"description,omitempty"`
		In          string `json:"in"`
		Name        string `json:"name"`
		Required    bool   `json:"required,omitempty"`
		Schema      object `json:"schema"`
	}
	// operation is what a method does at a path.
	operation struct {
		Description string      `json:"description,omitempty"`
		ID          string      `json:"operationId"`
		Parameters  []parameter `json:"parameters,omitempty"`
		Body        object      `json:"requestBody,omitempty"`
		Responses   object      `json:"responses"`
		Tags        []string    `json:"tags,omitempty"`
		Action      string      `json:"x-kubernetes-action,omitempty"`
		Kind        *kindName   `json:"x-kubernetes-group-version-kind,omitempty"`
		Deprecated  bool        `json:"deprecated,omitempty"`
	}
	// kindName is x-kubernetes-group-version-kind.
	kindName struct {
		Group   string `json:"group"`
		Kind    string `json:"kind"`
		Version string `json:"version"`
	}
	// pathItem is the operations of a path by method, and the parameters that all of them have.
	pathItem map[string]any
)

func nameOf(gvk schema.GroupVersionKind) *kindName {
	return &kindName{Group: gvk.Group, Kind: gvk.Kind, Version: gvk.Version}
}

func ref(name string) object { return object{"$ref": refPrefix + name} }

// Media types of answers, bodies of patches, and streams.
var (
	answers = []string{"application/cbor", "application/json", "application/vnd.kubernetes.protobuf", "application/yaml"}
	// readable are those of custom resources.
	readable = []string{"application/json", "application/yaml"}
	roots    = []string{"application/json", "application/vnd.kubernetes.protobuf", "application/yaml"}
	streams  = []string{"application/cbor-seq", "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"}
	patches  = []string{
		"application/apply-patch+cbor", "application/apply-patch+yaml", "application/json-patch+json",
		"application/merge-patch+json", "application/strategic-merge-patch+json",
	}
)

// content is a schema under each of some media types.
func content(schema object, mediaTypes []string) object {
	all := object{}
	for _, mediaType := range mediaTypes {
		all[mediaType] = object{"schema": schema}
	}
	return all
}

// responses are one description a status, with the same schema, and 401.
func responses(schema object, mediaTypes []string, codes ...string) object {
	all := object{"401": object{"description": "Unauthorized"}}
	for _, code := range codes {
		all[code] = object{"content": content(schema, mediaTypes), "description": map[string]string{"200": "OK", "201": "Created", "202": "Accepted"}[code]}
	}
	return all
}

func query(name, kind, description string) parameter {
	return parameter{Name: name, In: "query", Description: description, Schema: object{"type": kind, "uniqueItems": true}}
}

func inPath(name, description string) parameter {
	return parameter{Name: name, In: "path", Description: description, Required: true, Schema: object{"type": "string", "uniqueItems": true}}
}

var pretty = query("pretty", "string", "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent indicates a browser or command-line HTTP tool (curl and wget).")

// options are the parameters that an options kind's fields are in a query.
func (d *definitions) options(name string, without ...string) []parameter {
	var schema struct {
		Properties map[string]struct {
			Type, Description string
			Items             struct{ Type string }
		}
	}
	if json.Unmarshal(d.V3[name], &schema) != nil {
		return nil
	}
	var all []parameter
	for field, property := range schema.Properties {
		kind := property.Type
		if kind == "array" {
			kind = property.Items.Type
		}
		if kind == "" || kind == "object" || field == "kind" || field == "apiVersion" || slices.Contains(without, field) {
			continue
		}
		all = append(all, query(field, kind, property.Description))
	}
	return all
}

// item makes a path of operations: parameters that all of them have stand beside them once.
func item(operations map[string]*operation) pathItem {
	path := pathItem{}
	var shared []parameter
	first := true
	for _, op := range operations {
		if first {
			shared, first = slices.Clone(op.Parameters), false
			continue
		}
		shared = slices.DeleteFunc(shared, func(p parameter) bool { return !has(op.Parameters, p) })
	}
	for method, op := range operations {
		op.Parameters = slices.DeleteFunc(slices.Clone(op.Parameters), func(p parameter) bool { return has(shared, p) })
		sortParameters(op.Parameters)
		path[method] = op
	}
	if len(shared) > 0 {
		sortParameters(shared)
		path["parameters"] = shared
	}
	return path
}

func has(all []parameter, p parameter) bool {
	return slices.ContainsFunc(all, func(q parameter) bool { return q.Name == p.Name && q.In == p.In })
}

func sortParameters(all []parameter) {
	slices.SortFunc(all, func(a, b parameter) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.In, b.In)
	})
}
