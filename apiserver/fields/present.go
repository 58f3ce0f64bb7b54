package fields

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"

	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// The zero reflect.Value stands for a field that is not there.

// get returns a field's value, without pointers; the zero Value if JSON would not have it, and a nil pointer, slice or map
// if JSON would have null.
func (f *fieldPlan) get(of reflect.Value) reflect.Value {
	if !of.IsValid() {
		return of
	}
	v := of.FieldByIndex(f.index)
	if f.omit && empty(v) || f.omitZero && f.zero(v) {
		return reflect.Value{}
	}
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		return v.Elem()
	}
	return v
}

// zero is what omitzero leaves out.
func (f *fieldPlan) zero(v reflect.Value) bool {
	if f.asks && v.CanAddr() {
		if own, ok := v.Addr().Interface().(interface{ IsZero() bool }); ok {
			return own.IsZero()
		}
	}
	return v.IsZero()
}

// empty is what omitempty leaves out.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// null says whether a value is there but null.
func null(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	}
	return false
}

// bare says whether a map, list or structure is not there, null, or has nothing in it.
func (p *plan) bare(v reflect.Value) bool {
	if !v.IsValid() || null(v) {
		return true
	}
	if p.shape != structure {
		return v.Len() == 0
	}
	for i := range p.fields {
		if p.fields[i].get(v).IsValid() {
			return false
		}
	}
	return true
}

// same says whether two values are the same JSON.
func (p *plan) same(a, b reflect.Value) bool {
	if a.IsValid() != b.IsValid() {
		return false
	}
	if !a.IsValid() || null(a) || null(b) {
		return !a.IsValid() || null(a) == null(b)
	}
	if len(p.fields) > 0 { // a structure that is one value
		for i := range p.fields {
			if !p.fields[i].plan.same(p.fields[i].get(a), p.fields[i].get(b)) {
				return false
			}
		}
		return true
	}
	return sameValue(a, b)
}

func sameValue(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.String:
		return a.String() == b.String()
	case reflect.Bool:
		return a.Bool() == b.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return a.Int() == b.Int()
	case reflect.Slice:
		if a.Type().Elem().Kind() == reflect.Uint8 {
			return bytes.Equal(a.Bytes(), b.Bytes())
		}
	}
	if reflect.DeepEqual(a.Interface(), b.Interface()) {
		return true
	}
	// Two Go values may be written alike: 1000m and 1.
	x, errX := json.Marshal(a.Interface())
	y, errY := json.Marshal(b.Interface())
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// scalarOf turns a key or a set's element into a generic value.
func scalarOf(v reflect.Value) (value.Value, error) {
	if v.CanInterface() {
		if own, ok := v.Interface().(value.UnstructuredConverter); ok {
			return value.NewValueInterface(own.ToUnstructured()), nil
		}
	}
	switch v.Kind() {
	case reflect.String:
		return value.NewValueInterface(v.String()), nil
	case reflect.Bool:
		return value.NewValueInterface(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return value.NewValueInterface(v.Int()), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return value.NewValueInterface(base64.StdEncoding.EncodeToString(v.Bytes())), nil
		}
	}
	return nil, fmt.Errorf("a %s is no key", v.Type())
}
