package fields

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// shape is how a value is compared.
type shape int

const (
	// leaf is compared and owned as a whole.
	leaf shape = iota
	structure
	mapping
	set
	keyed
)

// plan says how values of a Go type are compared, at one place of the schema.
type plan struct {
	shape shape
	// fields of a structure, by JSON name.
	fields []fieldPlan
	// item is that of a map's values or a list's objects.
	item *plan
	keys []keyPlan
	// inside is the Go type of a leaf that may have sets or lists of keys inside, though nobody owns their parts; else nil.
	inside reflect.Type
}

// fieldPlan is a field of a structure.
type fieldPlan struct {
	name  string
	index []int
	// omit: a zero value is not there at all; else it is there, as null at times.
	omit bool
	// omitZero is the same by the value's own IsZero method, if asks is set.
	omitZero, asks bool
	plan           *plan
}

// zeroer is what JSON's omitzero asks.
var zeroer = reflect.TypeFor[interface{ IsZero() bool }]()

// keyPlan is a key of a list's objects.
type keyPlan struct {
	field  *fieldPlan
	absent value.Value
}

var (
	plansMu sync.Mutex
	// plans is guarded by plansMu: by Go type of structures; nil for those that cannot be compared here.
	plans = map[reflect.Type]*plan{}
)

// planOf returns how a kind's struct is compared; nil if it must be left to others.
func planOf(t reflect.Type) *plan {
	plansMu.Lock()
	defer plansMu.Unlock()
	return structPlan(t)
}

var (
	marshaler   = reflect.TypeFor[json.Marshaler]()
	convertible = reflect.TypeFor[value.UnstructuredConverter]()
)

// scalar says whether a type writes itself: Quantity, Time, IntOrString.
func scalar(t reflect.Type) bool {
	return t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler) || t.Implements(convertible)
}

// structPlan makes the plan of a struct; plansMu is held.
func structPlan(t reflect.Type) *plan {
	if known, done := plans[t]; done {
		return known
	}
	facts, known := factsOf(t)
	if !known {
		plans[t] = nil
		return nil
	}
	p := &plan{shape: structure}
	plans[t] = p // types may contain themselves
	if facts.atomic {
		p.shape, p.inside = leaf, leafPlanOf(t).inside
	}
	if !p.addFields(t, facts, nil) {
		plans[t] = nil
		return nil
	}
	slices.SortFunc(p.fields, func(a, b fieldPlan) int { return strings.Compare(a.name, b.name) })
	return p
}

// addFields adds the fields of a struct, and those of structs that are inlined into it. False: something is not known.
func (p *plan) addFields(t reflect.Type, facts *typeFacts, at []int) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		index := append(slices.Clone(at), i)
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			if f.Type.Kind() != reflect.Struct {
				return false
			}
			inner, known := factsOf(f.Type)
			if !known {
				inner = &typeFacts{} // inlined types are described where they are inlined
			}
			joined := &typeFacts{fields: map[string]fact{}}
			for _, from := range []*typeFacts{inner, facts} {
				for field, what := range from.fields {
					joined.fields[field] = what
				}
			}
			if !p.addFields(f.Type, joined, index) {
				return false
			}
			continue
		}
		fieldType := valuePlan(f.Type, facts.fields[name])
		if fieldType == nil {
			return false
		}
		p.fields = append(p.fields, fieldPlan{
			name: name, index: index, plan: fieldType,
			omit: strings.Contains(options, "omitempty"), omitZero: strings.Contains(options, "omitzero"),
			asks: reflect.PointerTo(f.Type).Implements(zeroer),
		})
	}
	return true
}

var leafPlan = &plan{shape: leaf}

func leafPlanOf(t reflect.Type) *plan {
	if hasDistinct(t, map[reflect.Type]bool{}) {
		return &plan{shape: leaf, inside: t}
	}
	return leafPlan
}

// valuePlan makes the plan of a field's value.
func valuePlan(t reflect.Type, what fact) *plan {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case what.atomic || scalar(t):
		return leafPlanOf(t)
	case t.Kind() == reflect.Struct:
		return parted(structPlan(t), what)
	case t.Kind() == reflect.Map:
		if t.Key().Kind() != reflect.String {
			return nil
		}
		item := valuePlan(t.Elem(), fact{})
		if item == nil {
			return nil
		}
		return &plan{shape: mapping, item: item}
	case t.Kind() == reflect.Slice && what.set:
		return &plan{shape: set}
	case t.Kind() == reflect.Slice && len(what.keys) > 0:
		return keyedPlan(t, what.keys)
	case t.Kind() == reflect.Interface || t.Kind() == reflect.Func || t.Kind() == reflect.Chan:
		return nil
	}
	return leafPlanOf(t)
}

// parted is the plan of a struct at a place where it is not one value.
func parted(p *plan, what fact) *plan {
	if p == nil || !what.parted || p.shape == structure {
		return p
	}
	return &plan{shape: structure, fields: p.fields}
}

func keyedPlan(t reflect.Type, keys []keyFact) *plan {
	element := t.Elem()
	if element.Kind() != reflect.Struct {
		return nil
	}
	item := structPlan(element)
	if item == nil || len(item.fields) == 0 {
		return nil // also a type that contains itself by way of a keyed list, which none does
	}
	p := &plan{shape: keyed, item: item}
	for _, key := range keys {
		i := slices.IndexFunc(item.fields, func(f fieldPlan) bool { return f.name == key.name })
		if i < 0 {
			return nil
		}
		p.keys = append(p.keys, keyPlan{field: &item.fields[i], absent: key.absent})
	}
	slices.SortFunc(p.keys, func(a, b keyPlan) int { return strings.Compare(a.field.name, b.field.name) })
	return p
}
