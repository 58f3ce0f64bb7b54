// Package fields notes which fields a write changed, for managedFields (KEP-555), by comparing Go objects directly: the frequent
// half of field tracking, without turning objects into generic values. Whatever is out of the ordinary (several versions, custom
// resources, an unknown type, a duplicate key) it leaves to apimachinery's implementation, whose results are the same.
package fields

import (
	_ "embed" // for facts
	"encoding/json"
	"reflect"
	"strings"
	"sync"

	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// factsText says of each type what its Go struct does not. It is made by tools/fields.
//
//go:embed facts.txt
var factsText string

// fact is what is known of a field.
type fact struct {
	// atomic: changed as a whole; set: a list of distinct scalars; keys: a list of objects with keys.
	atomic, set bool
	// parted: a struct whose parts are owned one by one, though its type is one value elsewhere.
	parted bool
	keys   []keyFact
}

type keyFact struct {
	name string
	// absent is the key's value where an object lacks it; nil if it has no default.
	absent value.Value
}

// typeFacts are those of a Go type: by JSON name of the field.
type typeFacts struct {
	atomic bool
	fields map[string]fact
}

// lines finds the line of each type. It is built on first use and small, since strings share the text.
var lines = sync.OnceValue(func() map[string]string {
	all := make(map[string]string, 600)
	for line := range strings.Lines(factsText) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		all[name] = rest
	}
	return all
})

// factsOf returns what is known of a Go type; false if nothing is.
func factsOf(t reflect.Type) (*typeFacts, bool) {
	line, known := lines()[schemaName(t)]
	if !known {
		return nil, false
	}
	facts := &typeFacts{fields: map[string]fact{}}
	if line == "!" {
		facts.atomic = true
		return facts, true
	}
	for _, word := range strings.Fields(line) {
		name, text, _ := strings.Cut(word, "=")
		switch text {
		case "?":
			return nil, false // decides by its contents: not for here
		case "!":
			facts.fields[name] = fact{atomic: true}
		case "~":
			facts.fields[name] = fact{parted: true}
		case "*":
			facts.fields[name] = fact{set: true}
		default:
			facts.fields[name] = fact{keys: keysOf(text)}
		}
	}
	return facts, true
}

func keysOf(text string) []keyFact {
	var keys []keyFact
	for _, part := range strings.Split(text, ",") {
		name, absent, given := strings.Cut(part, ":")
		key := keyFact{name: name}
		if given {
			var v any
			if json.Unmarshal([]byte(absent), &v) == nil {
				if number, isNumber := v.(float64); isNumber {
					v = int64(number)
				}
				key.absent = value.NewValueInterface(v)
			}
		}
		keys = append(keys, key)
	}
	return keys
}

// schemaName is how the merge schema calls a Go type: io.k8s.api.core.v1.Pod.
func schemaName(t reflect.Type) string {
	host, rest, _ := strings.Cut(t.PkgPath(), "/")
	first, second, _ := strings.Cut(host, ".")
	return second + "." + first + "." + strings.ReplaceAll(rest, "/", ".") + "." + t.Name()
}
