package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// shape is as much of an OpenAPI v2 schema as mutation needs.
type shape struct {
	Ref        string                                  `json:"$ref"`
	Type       string                                  `json:"type"`
	Format     string                                  `json:"format"`
	Properties map[string]*shape                       `json:"properties"`
	Items      *shape                                  `json:"items"`
	Additional *shape                                  `json:"additionalProperties"`
	AllOf      []*shape                                `json:"allOf"`
	Kinds      []struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
}

// schemas are those of all kinds, by definition name and by kind.
type schemas struct {
	byName map[string]*shape
	byKind map[schema.GroupVersionKind]*shape
}

func readSchemas(ctx context.Context, from *server) (*schemas, error) {
	a, err := from.do(ctx, call{method: "GET", path: "/openapi/v2"})
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(a.body)
	if err != nil {
		return nil, err
	}
	var document struct {
		Definitions map[string]*shape `json:"definitions"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("/openapi/v2: %w", err)
	}
	s := &schemas{byName: document.Definitions, byKind: map[schema.GroupVersionKind]*shape{}}
	for _, d := range document.Definitions {
		for _, k := range d.Kinds {
			if len(d.Kinds) == 1 {
				s.byKind[schema.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}] = d
			}
		}
	}
	return s, nil
}

// resolve follows references. Quantities and int-or-strings keep their name as format.
func (s *schemas) resolve(from *shape) *shape {
	for from != nil && (from.Ref != "" || len(from.AllOf) == 1) {
		if len(from.AllOf) == 1 {
			from = from.AllOf[0]
			continue
		}
		name := strings.TrimPrefix(from.Ref, "#/definitions/")
		from = s.byName[name]
		if strings.HasSuffix(name, ".resource.Quantity") {
			return &shape{Type: "string", Format: "quantity"}
		}
	}
	return from
}

// sample makes a plausible value: every field set, lists with one entry. deep bounds recursive schemas.
func (s *schemas) sample(of *shape, deep int) any {
	of = s.resolve(of)
	switch {
	case of == nil || deep == 0:
		return nil
	case len(of.Properties) > 0:
		out := map[string]any{}
		for name, property := range of.Properties {
			if v := s.sample(property, deep-1); v != nil {
				out[name] = v
			}
		}
		return out
	case of.Type == "array":
		if v := s.sample(of.Items, deep-1); v != nil {
			return []any{v}
		}
		return nil
	case of.Additional != nil:
		if v := s.sample(of.Additional, deep-1); v != nil {
			return map[string]any{"key": v}
		}
		return nil
	case of.Type == "integer":
		return int64(7)
	case of.Type == "number":
		return 1.5
	case of.Type == "boolean":
		return true
	case of.Format == "date-time":
		return "2026-01-01T00:00:00Z"
	case of.Format == "quantity":
		return "1"
	case of.Format == "byte":
		return "YQ=="
	case of.Type == "object":
		return map[string]any{}
	}
	return "sample"
}
