package store

import (
	"reflect"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/septet-io/septet/resource"
)

// Objects of a kind say the same things again and again: names of images, labels, nodes, and whole sets of managed
// fields. Decoders allocate each of them; here they become one.

// common are values that have been seen lately: two generations of a bounded table, so that it forgets what is not
// used any more.
type common[V any] struct {
	most       int
	young, old map[string]V
}

// keep adds a value, or rather the older one that is nearly forgotten, and returns which.
func (c *common[V]) keep(key string, value V) V {
	if found, ok := c.old[key]; ok {
		value = found
	}
	if len(c.young) >= c.most {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = map[string]V{}
	}
	c.young[key] = value
	return value
}

// interner has the values of all kinds. One lock for an object is cheaper than one for a string.
type interner struct {
	mu      sync.Mutex
	strings common[string]
	fields  common[*metav1.FieldsV1]
}

const (
	commonStrings = 4096
	commonFields  = 512
	// Longer values are seldom equal.
	commonLength, commonFieldsLength = 128, 16 << 10
)

var interned = &interner{strings: common[string]{most: commonStrings}, fields: common[*metav1.FieldsV1]{most: commonFields}}

// intern makes the strings of an object those of other objects. Parts that the object shares with old, which others may be
// reading, are left alone; old may be nil.
func intern(obj, old resource.Object) {
	interned.mu.Lock()
	defer interned.mu.Unlock()
	if u, ok := obj.(*unstructured.Unstructured); ok {
		u.Object, _ = interned.tree(u.Object).(map[string]any)
		return
	}
	v, before := reflect.ValueOf(obj), reflect.Value{}
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	if old != nil && reflect.TypeOf(old) == v.Type() {
		before = reflect.ValueOf(old).Elem()
	}
	planOf(v.Type().Elem())(interned, v.Elem(), before)
}

func (n *interner) string(value string) string {
	if value == "" || len(value) > commonLength {
		return value
	}
	if found, ok := n.strings.young[value]; ok {
		return found
	}
	return n.strings.keep(value, value)
}

// tree does it for what JSON decodes to. It makes new maps and slices, just as large as they need to be, and changes none.
func (n *interner) tree(value any) any {
	switch value := value.(type) {
	case string:
		return n.string(value)
	case []any:
		if value == nil {
			return value
		}
		made := make([]any, len(value))
		for i := range value {
			made[i] = n.tree(value[i])
		}
		return made
	case map[string]any:
		if value == nil {
			return value
		}
		made := make(map[string]any, len(value))
		for key, entry := range value {
			made[n.string(key)] = n.tree(entry)
		}
		return made
	}
	return value
}

// plan does it for the values of one type; the second value is the one in the same place of the old object, if there is
// one. Nil: there is nothing to do in them.
type plan func(n *interner, v, old reflect.Value)

// plans by type. A type that contains itself finds its own plan when that is finished.
var plans sync.Map

type planned struct {
	once sync.Once
	run  plan
}

// planOf never returns nil.
func planOf(t reflect.Type) plan {
	found, _ := plans.LoadOrStore(t, &planned{})
	p := found.(*planned)
	p.once.Do(func() {
		if p.run = newPlan(t, map[reflect.Type]bool{}); p.run == nil {
			p.run = func(*interner, reflect.Value, reflect.Value) {}
		}
	})
	return p.run
}

var (
	fieldsType    = reflect.TypeFor[*metav1.FieldsV1]()
	stringMapType = reflect.TypeFor[map[string]string]()
	metaType      = reflect.TypeFor[metav1.ObjectMeta]()
)

// unique fields of metadata are those of one object alone. They would only push others out of the table.
func unique(t reflect.Type, field string) bool { return t == metaType && (field == "Name" || field == "UID") }

// newPlan builds the plan of a type inside of another one; within are those that contain it.
func newPlan(t reflect.Type, within map[reflect.Type]bool) plan {
	switch {
	case t == fieldsType:
		return internFields
	case t == stringMapType:
		return internMap
	case within[t]:
		return func(n *interner, v, old reflect.Value) { planOf(t)(n, v, old) }
	}
	switch t.Kind() {
	case reflect.String:
		return func(n *interner, v, old reflect.Value) {
			s := v.String()
			switch {
			case s == "":
			case old.IsValid() && s == old.String():
				v.SetString(old.String()) // which has been looked up when it came
			default:
				v.SetString(n.string(s))
			}
		}
	case reflect.Pointer:
		if element := newPlan(t.Elem(), within); element != nil {
			return func(n *interner, v, old reflect.Value) {
				if !v.IsNil() && !same(v, old) {
					element(n, v.Elem(), inside(old))
				}
			}
		}
	case reflect.Slice:
		if element := newPlan(t.Elem(), within); element != nil {
			return func(n *interner, v, old reflect.Value) {
				if same(v, old) {
					return
				}
				for i := range v.Len() {
					element(n, v.Index(i), at(old, i))
				}
			}
		}
	case reflect.Struct:
		return structPlan(t, within)
	}
	return nil
}

// same says that two pointers, slices or maps share their memory.
func same(v, old reflect.Value) bool {
	return old.IsValid() && v.UnsafePointer() == old.UnsafePointer()
}

func inside(old reflect.Value) reflect.Value {
	if !old.IsValid() || old.IsNil() {
		return reflect.Value{}
	}
	return old.Elem()
}

func at(old reflect.Value, i int) reflect.Value {
	if !old.IsValid() || i >= old.Len() {
		return reflect.Value{}
	}
	return old.Index(i)
}

func structPlan(t reflect.Type, within map[reflect.Type]bool) plan {
	within[t] = true
	defer delete(within, t)
	type step struct {
		field int
		run   plan
	}
	var steps []step
	for i := range t.NumField() {
		if !t.Field(i).IsExported() || unique(t, t.Field(i).Name) {
			continue
		}
		if run := newPlan(t.Field(i).Type, within); run != nil {
			steps = append(steps, step{i, run})
		}
	}
	if len(steps) == 0 {
		return nil
	}
	return func(n *interner, v, old reflect.Value) {
		var before reflect.Value
		for _, s := range steps {
			if old.IsValid() {
				before = old.Field(s.field)
			}
			s.run(n, v.Field(s.field), before)
		}
	}
}

// internFields shares the whole set, since nothing in the store is ever changed.
func internFields(n *interner, v, old reflect.Value) {
	if v.IsNil() || same(v, old) {
		return
	}
	set := v.Interface().(*metav1.FieldsV1)
	raw := set.GetRawBytes()
	if len(raw) == 0 || len(raw) > commonFieldsLength {
		return
	}
	found, ok := n.fields.young[string(raw)] // this form of a look-up copies nothing
	if !ok {
		found = n.fields.keep(string(raw), set)
	}
	v.Set(reflect.ValueOf(found))
}

func internMap(n *interner, v, old reflect.Value) {
	m := v.Interface().(map[string]string)
	if len(m) == 0 || same(v, old) {
		return
	}
	made := make(map[string]string, len(m))
	for key, value := range m {
		made[n.string(key)] = n.string(value)
	}
	v.Set(reflect.ValueOf(made))
}
