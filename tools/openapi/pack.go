package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// definition is what the dump writes for a type: its schema, and the one for OpenAPI v3 where that differs.
type definition struct {
	Schema json.RawMessage `json:"schema"`
	V3     json.RawMessage `json:"v3"`
}

// packed is what the file holds: schemas by name as OpenAPI v3 has them, and those that v2 has otherwise.
type packed struct {
	V3 map[string]any `json:"v3"`
	V2 map[string]any `json:"v2"`
}

// pack writes the definitions compressed and always the same: keys sorted, no time in the header.
func pack(definitions []byte) error {
	var all map[string]definition
	if err := json.Unmarshal(definitions, &all); err != nil {
		return fmt.Errorf("definitions: %w", err)
	}
	file := packed{V3: map[string]any{}, V2: map[string]any{}}
	for name, d := range all {
		schema, err := decode(d.Schema)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if d.V3 == nil {
			file.V3[name] = tidy(schema)
			continue
		}
		v3, err := decode(d.V3)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		file.V3[name], file.V2[name] = tidy(v3), tidy(schema)
	}
	return write(file)
}

func decode(data []byte) (map[string]any, error) {
	var schema map[string]any
	return schema, json.Unmarshal(data, &schema)
}

// tidy brings a schema into the form in which it is served: references that stand beside other keywords are wrapped, since v3
// ignores these otherwise, and defaults of items, which mean nothing, are left out.
func tidy(schema map[string]any) map[string]any {
	for _, list := range []string{"properties", "patternProperties"} {
		if properties, ok := schema[list].(map[string]any); ok {
			for name, property := range properties {
				properties[name] = tidy(property.(map[string]any))
			}
		}
	}
	for _, inner := range []string{"items", "additionalProperties"} {
		if item, ok := schema[inner].(map[string]any); ok {
			if isZero(item["default"]) {
				delete(item, "default")
			}
			schema[inner] = tidy(item)
		}
	}
	if ref, ok := schema["$ref"].(string); ok {
		ref = "#/components/schemas/" + strings.TrimPrefix(ref, "#/")
		schema["$ref"] = ref
		if len(schema) > 1 {
			delete(schema, "$ref")
			schema["allOf"] = []any{map[string]any{"$ref": ref}}
		}
	}
	return schema
}

func isZero(value any) bool {
	switch v := value.(type) {
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case float64:
		return v == 0
	case bool:
		return !v
	}
	return false
}

func write(file packed) error {
	sorted, err := json.Marshal(file)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(sorted); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	fmt.Printf("%d types, %d bytes, %d compressed\n", len(file.V3), len(sorted), out.Len())
	return os.WriteFile(output, out.Bytes(), 0o644)
}
