// Package openapi describes the API for clients: OpenAPI v3, a document a group version, and v2, one for all. Documents are made
// when they are asked for, from schemas that lie compressed in the program and from the table of kinds; nothing of them stays in memory.
package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // for definitions
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
)

// packed has the schemas of all built-in types. It is made by tools/openapi.
//
//go:embed definitions.json.gz
var packed []byte

// packedHash tells versions of the schemas apart, without unpacking them.
var packedHash = sync.OnceValue(func() string {
	sum := sha256.Sum256(packed)
	return hex.EncodeToString(sum[:8])
})

// definitions are schemas by name: as v3 has them, and those that v2 has otherwise.
type definitions struct {
	V3 map[string]json.RawMessage `json:"v3"`
	V2 map[string]json.RawMessage `json:"v2"`
	// custom are the names of those that come from custom resources.
	custom map[string]bool
}

// unpack reads the schemas; about five milliseconds.
func unpack() (*definitions, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("openapi schemas: %w", err)
	}
	all := &definitions{}
	if err := json.NewDecoder(z).Decode(all); err != nil {
		return nil, fmt.Errorf("openapi schemas: %w", err)
	}
	return all, nil
}

const refPrefix = "#/components/schemas/"

// refs finds the names that a schema refers to.
func refs(schema []byte) []string {
	var names []string
	for rest := schema; ; {
		i := bytes.Index(rest, []byte(refPrefix))
		if i < 0 {
			return names
		}
		rest = rest[i+len(refPrefix):]
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			return names
		}
		names = append(names, string(rest[:end]))
	}
}

// closure is all schemas that the given names lead to.
func (d *definitions) closure(names []string) map[string]json.RawMessage {
	found := map[string]json.RawMessage{}
	for len(names) > 0 {
		name := names[len(names)-1]
		names = names[:len(names)-1]
		if _, done := found[name]; done {
			continue
		}
		if schema, known := d.V3[name]; known {
			found[name] = schema
			names = append(names, refs(schema)...)
		}
	}
	return found
}
