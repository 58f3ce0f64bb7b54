package fields

import (
	"fmt"
	"reflect"
	"strings"
)

// hasDistinct says whether a type has sets or lists of keys somewhere inside. seen are types that were looked at.
func hasDistinct(t reflect.Type, seen map[reflect.Type]bool) bool {
	for !scalar(t) && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map) {
		t = t.Elem()
	}
	if scalar(t) || t.Kind() != reflect.Struct || seen[t] {
		return false
	}
	seen[t] = true
	if facts, known := factsOf(t); known {
		for _, what := range facts.fields {
			if what.set || len(what.keys) > 0 {
				return true
			}
		}
	}
	for i := range t.NumField() {
		if hasDistinct(t.Field(i).Type, seen) {
			return true
		}
	}
	return false
}

// unique says that nothing is twice in the sets and lists of keys of a generic value of a Go type: such a value is refused, also inside of
// what is owned as a whole. False, too, if that cannot be told.
func unique(t reflect.Type, what fact, v any) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case map[string]any:
		return scalar(t) || uniqueFields(t, v)
	case []any:
		return scalar(t) || uniqueItems(t, what, v)
	}
	return true
}

func uniqueFields(t reflect.Type, values map[string]any) bool {
	if t.Kind() == reflect.Map {
		for _, one := range values {
			if !unique(t.Elem(), fact{}, one) {
				return false
			}
		}
		return true
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	facts, known := factsOf(t)
	if !known {
		return false
	}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		one, given := values[name]
		if name != "" && given && !unique(f.Type, facts.fields[name], one) {
			return false
		}
	}
	return true
}

func uniqueItems(t reflect.Type, what fact, list []any) bool {
	if t.Kind() != reflect.Slice {
		return false
	}
	seen := make(map[string]bool, len(list))
	for _, one := range list {
		id := fmt.Sprint(one)
		if object, is := one.(map[string]any); is {
			id = ""
			for i := range what.keys {
				key := object[what.keys[i].name]
				if absent := what.keys[i].absent; key == nil && absent != nil {
					key = absent.Unstructured()
				}
				id += fmt.Sprintf("%q", fmt.Sprint(key))
			}
		}
		if (what.set || len(what.keys) > 0) && seen[id] || !unique(t.Elem(), fact{}, one) {
			return false
		}
		seen[id] = true
	}
	return true
}
