package main

import (
	"fmt"
	"slices"
	"strings"
)

// mutation is one change of an object.
type mutation struct {
	name  string
	apply func(root map[string]any)
}

// absent, as a value, means to leave a field out.
type absent struct{}

// mutator walks an object along its schema and collects mutations.
type mutator struct {
	schemas *schemas
	out     []mutation
}

// mutations lists all changes of the fields below root[top].
func (s *schemas) mutations(object map[string]any, of *shape, tops ...string) []mutation {
	m := &mutator{schemas: s}
	of = s.resolve(of)
	for _, name := range keys(toMap(of.Properties)) {
		if len(tops) > 0 && !slices.Contains(tops, name) || len(tops) == 0 && slices.Contains([]string{"apiVersion", "kind", "metadata", "status"}, name) {
			continue
		}
		m.value(object[name], of.Properties[name], []any{name}, 0)
	}
	return m.out
}

func toMap(properties map[string]*shape) map[string]any {
	out := map[string]any{}
	for name := range properties {
		out[name] = nil
	}
	return out
}

// value collects the mutations of what lies at path, and of what lies below it.
func (m *mutator) value(v any, of *shape, path []any, missing int) {
	of = m.schemas.resolve(of)
	if of == nil {
		return
	}
	if v == nil {
		m.set(path, "sample", m.schemas.sample(of, 4))
		m.set(path, "minimal", minimal(of))
		if missing++; missing > 1 {
			return // a sample of what lies above had it
		}
	} else {
		m.set(path, "absent", absent{})
		m.set(path, "null", nil)
	}
	switch {
	case len(of.Properties) > 0:
		m.object(v, of, path, missing)
	case of.Type == "array":
		m.list(v, of, path, missing)
	case of.Additional != nil:
		m.dictionary(v, of, path)
	default:
		m.scalar(v, of, path)
	}
}

// minimal is the emptiest value of a type.
func minimal(of *shape) any {
	switch {
	case len(of.Properties) > 0 || of.Additional != nil || of.Type == "object":
		return map[string]any{}
	case of.Type == "array":
		return []any{}
	case of.Type == "integer" || of.Type == "number":
		return int64(0)
	case of.Type == "boolean":
		return false
	}
	return ""
}

func (m *mutator) object(v any, of *shape, path []any, missing int) {
	fields, _ := v.(map[string]any)
	if v != nil {
		m.set(path, "empty", map[string]any{})
	}
	for _, name := range keys(toMap(of.Properties)) {
		if missing > 0 && m.schemas.resolve(of.Properties[name]) == of {
			continue
		}
		m.value(fields[name], of.Properties[name], below(path, name), missing)
	}
}

func (m *mutator) list(v any, of *shape, path []any, missing int) {
	items, _ := v.([]any)
	if len(items) == 0 {
		if item := m.schemas.sample(of.Items, 3); item != nil && missing < 2 {
			m.set(path, "two samples", []any{item, item})
		}
		if inner := m.schemas.resolve(of.Items); inner != nil {
			m.set(path, "minimal entry", []any{minimal(inner)})
		}
		return
	}
	m.set(path, "empty", []any{})
	m.set(path, "doubled", append(slices.Clone(items), copyOf(items[0])))
	if inner := m.schemas.resolve(of.Items); inner != nil {
		m.set(path, "with an empty entry", append(slices.Clone(items), minimal(inner)))
	}
	if len(items) > 1 {
		m.set(path, "shortened", items[:len(items)-1])
		turned := slices.Clone(items)
		slices.Reverse(turned)
		m.set(path, "turned", turned)
	}
	for i := range items {
		m.value(items[i], of.Items, below(path, i), missing)
	}
}

func (m *mutator) dictionary(v any, of *shape, path []any) {
	inner := m.schemas.resolve(of.Additional)
	entries, _ := v.(map[string]any)
	value := m.schemas.sample(inner, 2)
	for _, key := range []string{"Bad/Key/x", "-bad", "", "new-key", "example.com/new", strings.Repeat("k", 64)} {
		m.set(below(path, key), "new", value)
	}
	m.set(path, "empty", map[string]any{})
	for _, key := range keys(entries) {
		m.value(entries[key], inner, below(path, key), 0)
	}
	if len(entries) == 0 && inner != nil && inner.Type == "string" {
		m.scalar("x", inner, below(path, "new-key"))
	}
}

var (
	strange    = []any{"", "Bogus", "-bad_Name!", "with space", "a.b", "10.0.0.300", "10.0.0.1", "/abs", "../up", strings.Repeat("a", 64), strings.Repeat("a", 260)}
	numbers    = []any{int64(-1), int64(0), int64(1), int64(7), int64(70000), int64(2147483647)}
	quantities = []any{"-1", "0", "1m", "1.5", "3Gi", "bogus", int64(5)}
	dates      = []any{"2026-01-02T03:04:05Z", "yesterday"}
	ports      = []any{int64(-1), int64(0), int64(70000), "150%", "-1%", "http", "Bad_Port", "0", ""}
)

func (m *mutator) scalar(v any, of *shape, path []any) {
	var list []any
	switch {
	case of.Format == "int-or-string":
		list = ports
	case of.Format == "quantity":
		list = quantities
	case of.Format == "date-time":
		list = dates
	case of.Type == "string":
		list = strange
	case of.Type == "integer":
		list = numbers
	case of.Type == "boolean":
		list = []any{true, false}
	case of.Type == "number":
		list = []any{-1.5, 0.0, 1e9}
	default:
		list = []any{"text", int64(3)} // any JSON
	}
	for _, value := range list {
		if value != v {
			m.set(path, short(value), value)
		}
	}
}

func short(value any) string {
	if s, ok := value.(string); ok {
		if len(s) > 20 {
			return fmt.Sprintf("%d times %s", len(s), s[:1])
		}
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(value)
}

func below(path []any, step any) []any { return append(slices.Clone(path), step) }

// set adds the mutation that puts value at path, and makes what is missing on the way.
func (m *mutator) set(path []any, what string, value any) {
	m.out = append(m.out, mutation{
		name:  pathName(path) + " " + what,
		apply: func(root map[string]any) { put(root, path, copyOf(value)) },
	})
}

func pathName(path []any) string {
	var b strings.Builder
	for _, step := range path {
		switch s := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", s)
		case string:
			b.WriteString("." + s)
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}

func put(root map[string]any, path []any, value any) {
	var at any = root
	for i, step := range path {
		last := i == len(path)-1
		switch container := at.(type) {
		case map[string]any:
			key := step.(string)
			if last {
				if _, remove := value.(absent); remove {
					delete(container, key)
				} else {
					container[key] = value
				}
				return
			}
			if container[key] == nil {
				container[key] = map[string]any{}
			}
			at = container[key]
		case []any:
			index := step.(int)
			if last {
				if _, remove := value.(absent); remove {
					value = nil
				}
				container[index] = value
				return
			}
			at = container[index]
		}
	}
}

func copyOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, inner := range v {
			out[key] = copyOf(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = copyOf(inner)
		}
		return out
	}
	return v
}
