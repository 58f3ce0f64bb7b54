package fields

import (
	"slices"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// Owned are the paths that a configuration for server-side apply has: what its manager owns from then on. False: it does not fit
// the kind, or is out of the ordinary (nulls, duplicates in a list). Values that are owned as a whole are not looked into.
func (t *Tracker) Owned(wanted map[string]any) (*fieldpath.Set, bool) {
	s := fieldpath.NewSet()
	body := make(map[string]any, len(wanted))
	for name, v := range wanted {
		if name != "kind" && name != "apiVersion" { // of every kind, and nobody's
			body[name] = v
		}
	}
	return s, t.plan.ownedFields(s, body)
}

// owned adds the paths of one value, which is at element below s.
func (p *plan) owned(s *fieldpath.Set, element fieldpath.PathElement, v any) bool {
	if p.shape == leaf {
		s.Members.Insert(element)
		return whole(v) && (p.inside == nil || unique(p.inside, fact{}, v))
	}
	if v == nil {
		return false
	}
	below := fieldpath.NewSet()
	ok := false
	switch p.shape {
	case structure:
		fields, is := v.(map[string]any)
		if is && len(fields) == 0 {
			s.Members.Insert(element)
		}
		ok = is && p.ownedFields(below, fields)
	case mapping:
		entries, is := v.(map[string]any)
		if is && len(entries) == 0 {
			s.Members.Insert(element)
		}
		ok = is && p.ownedEntries(below, entries)
	case set:
		list, is := v.([]any)
		ok = is && ownedValues(below, list)
	case keyed:
		list, is := v.([]any)
		ok = is && p.ownedMembers(below, list)
	}
	if ok && !below.Empty() {
		*s.Children.Descend(element) = *below
	}
	return ok
}

func (p *plan) ownedFields(s *fieldpath.Set, fields map[string]any) bool {
	for name, v := range fields {
		i, known := slices.BinarySearchFunc(p.fields, name, func(f fieldPlan, name string) int { return strings.Compare(f.name, name) })
		if !known || !p.fields[i].plan.owned(s, fieldpath.PathElement{FieldName: &p.fields[i].name}, v) {
			return false
		}
	}
	return true
}

// ownedEntries are those of a map, whose keys are owned beside their values.
func (p *plan) ownedEntries(s *fieldpath.Set, entries map[string]any) bool {
	for name, v := range entries {
		element := fieldpath.PathElement{FieldName: &name}
		s.Members.Insert(element)
		if !p.item.owned(s, element, v) {
			return false
		}
	}
	return true
}

func ownedValues(s *fieldpath.Set, list []any) bool {
	for _, one := range list {
		if !scalarValue(one) {
			return false
		}
		v := value.NewValueInterface(one)
		element := fieldpath.PathElement{Value: &v}
		if s.Members.Has(element) {
			return false
		}
		s.Members.Insert(element)
	}
	return true
}

func (p *plan) ownedMembers(s *fieldpath.Set, list []any) bool {
	for _, one := range list {
		object, is := one.(map[string]any)
		if !is {
			return false
		}
		keys := make(value.FieldList, 0, len(p.keys))
		for i := range p.keys {
			key := p.keys[i].absent
			if v, given := object[p.keys[i].field.name]; given {
				if _, fraction := v.(float64); fraction || !scalarValue(v) {
					return false
				}
				key = value.NewValueInterface(v)
			}
			if key == nil {
				return false
			}
			keys = append(keys, value.Field{Name: p.keys[i].field.name, Value: key})
		}
		element := fieldpath.PathElement{Key: &keys}
		if s.Members.Has(element) {
			return false
		}
		s.Members.Insert(element)
		if !p.item.owned(s, element, object) {
			return false
		}
	}
	return true
}

// whole says that a value has no nulls in it, which a Go value would not tell from what is not there.
func whole(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, one := range v {
			if !whole(one) {
				return false
			}
		}
		return true
	case []any:
		return !slices.ContainsFunc(v, func(one any) bool { return !whole(one) })
	}
	return scalarValue(v)
}

func scalarValue(v any) bool {
	switch v.(type) {
	case string, bool, int64, float64:
		return true
	}
	return false
}
