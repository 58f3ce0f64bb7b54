package openapi

import (
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	openapiv3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/daemon"
)

// ServeV2 answers /openapi/v2 with one document for all: JSON, or protobuf for clients that ask for it.
func (h *Handler) ServeV2(w http.ResponseWriter, r *http.Request) {
	sources := h.sources()
	var from strings.Builder
	for _, path := range sortedKeys(sources) {
		from.WriteString(sources[path].hash)
	}
	foreign := ""
	if h.Foreign != nil {
		foreign = h.Foreign.TagsV2(r.Context())
		from.WriteString(foreign)
	}
	etag := fmt.Sprintf("%q", fmt.Sprintf("%X", sha512.Sum512([]byte(from.String()))))
	w.Header().Set("Etag", etag)
	w.Header().Set("Vary", "Accept")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := h.v2(sources)
	if err == nil && foreign != "" {
		body, err = h.Foreign.MergeV2(r.Context(), body)
	}
	if err != nil {
		request.Error(w, r, err)
		return
	}
	const protobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
	if accept := r.Header.Get("Accept"); strings.Contains(accept, "proto-openapi.spec.v2") && !strings.HasPrefix(accept, "application/json") {
		document, err := openapiv2.ParseDocument(body)
		if err == nil {
			body, err = proto.Marshal(document)
		}
		if err != nil {
			request.Error(w, r, err)
			return
		}
		rest.SendBody(w, r, protobuf, body)
		return
	}
	rest.SendBody(w, r, "application/json", body)
}

func protobufV3(body []byte) ([]byte, error) {
	document, err := openapiv3.ParseDocument(body)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(document)
}

// v2 joins all documents of v3 and writes them as v2 has it.
func (h *Handler) v2(sources map[string]source) ([]byte, error) {
	d, err := unpack()
	if err != nil {
		return nil, err
	}
	paths, schemas := object{}, object{}
	for _, path := range sortedKeys(sources) {
		s := sources[path]
		doc, err := s.build(d)
		if err != nil {
			return nil, err
		}
		if err := joinV2(d, doc, paths, schemas); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return json.Marshal(object{
		"swagger": "2.0", "info": object{"title": "Kubernetes", "version": daemon.KubernetesVersion},
		"paths": paths, "definitions": schemas, "security": []object{{"BearerToken": []string{}}},
		"securityDefinitions": bearer,
	})
}

func joinV2(d *definitions, doc *document, paths, schemas object) error {
	for name, raw := range doc.Components.Schemas {
		if v2, differs := d.V2[name]; differs {
			raw = v2
		}
		var schema object
		if err := json.Unmarshal(raw, &schema); err != nil {
			return err
		}
		if d.custom[name] {
			var stamped object
			if err := json.Unmarshal(doc.Components.Schemas[name], &stamped); err != nil {
				return err
			}
			schema[kindsKey] = stamped[kindsKey]
		} else {
			schema = schemaV2(schema)
		}
		if old, known := schemas[name].(object); known {
			joinKinds(schema, old)
		}
		schemas[name] = schema
	}
	for path, item := range doc.Paths {
		paths[path] = pathV2(item)
	}
	return nil
}

// kindsKey is where a schema says which kinds it stands for.
const kindsKey = "x-kubernetes-group-version-kind"

// joinKinds makes a schema stand for what it stood for in another document too.
func joinKinds(schema, old object) {
	kinds, _ := schema[kindsKey].([]any)
	more, _ := old[kindsKey].([]any)
	for _, kind := range more {
		if !slices.ContainsFunc(kinds, func(k any) bool { return fmt.Sprint(k) == fmt.Sprint(kind) }) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) > 0 {
		schema[kindsKey] = kinds
	}
}

// schemaV2 takes back what only v3 has: wrapped references, defaults, alternatives.
func schemaV2(schema object) object {
	delete(schema, "default")
	delete(schema, "nullable")
	for _, key := range []string{"oneOf", "anyOf", "not"} {
		delete(schema, key)
	}
	if all, ok := schema["allOf"].([]any); ok && len(all) == 1 {
		if one, ok := all[0].(object); ok && one["$ref"] != nil {
			delete(schema, "allOf")
			schema["$ref"] = one["$ref"]
		}
	}
	if ref, ok := schema["$ref"].(string); ok {
		schema["$ref"] = "#/definitions/" + strings.TrimPrefix(ref, refPrefix)
		delete(schema, "type")
	}
	for key, value := range schema {
		switch inner := value.(type) {
		case object:
			if key == "properties" {
				for name, property := range inner {
					if p, ok := property.(object); ok {
						inner[name] = schemaV2(p)
					}
				}
				continue
			}
			schema[key] = schemaV2(inner)
		}
	}
	return schema
}

func pathV2(item pathItem) object {
	path := object{}
	for method, value := range item {
		switch v := value.(type) {
		case []parameter:
			path["parameters"] = parametersV2(v)
		case *operation:
			path[method] = operationV2(v)
		}
	}
	return path
}

func parametersV2(all []parameter) []object {
	list := make([]object, 0, len(all))
	for _, p := range all {
		one := object{"name": p.Name, "in": p.In}
		if p.Description != "" {
			one["description"] = p.Description
		}
		if p.Required {
			one["required"] = true
		}
		maps.Copy(one, p.Schema)
		list = append(list, one)
	}
	return list
}

func operationV2(op *operation) object {
	parameters := parametersV2(op.Parameters)
	consumes := []string{"*/*"}
	if body, ok := op.Body["content"].(object); ok {
		types := sortedKeys(body)
		consumes = types
		one := object{"name": "body", "in": "body", "schema": bodyV2(body[types[0]])}
		if op.Body["required"] == true {
			one["required"] = true
		}
		parameters = append([]object{one}, parameters...)
	}
	produces := []string{}
	answers := object{}
	for code, value := range op.Responses {
		answer, _ := value.(object)
		one := object{"description": answer["description"]}
		if content, ok := answer["content"].(object); ok {
			produces = sortedKeys(content)
			one["schema"] = bodyV2(content[produces[0]])
		}
		answers[code] = one
	}
	v2 := object{
		"operationId": op.ID, "responses": answers, "tags": op.Tags, "consumes": consumes, "produces": produces, "schemes": []string{"https"},
	}
	if op.Description != "" {
		v2["description"] = op.Description
	}
	if len(parameters) > 0 {
		v2["parameters"] = parameters
	}
	if op.Action != "" {
		v2["x-kubernetes-action"] = op.Action
	}
	if op.Kind != nil {
		v2["x-kubernetes-group-version-kind"] = op.Kind
	}
	return v2
}

// bodyV2 is the schema of a body, which v3 keeps a media type each.
func bodyV2(media any) object {
	inner, _ := media.(object)["schema"].(object)
	copied := maps.Clone(inner)
	return schemaV2(copied)
}
