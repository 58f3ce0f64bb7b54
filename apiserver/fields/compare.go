package fields

import (
	"errors"
	"reflect"
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// errElsewhere says that a comparison must be left to apimachinery.
var errElsewhere = errors.New("fields: not to be compared here")

// outcome is what became of a path.
type outcome uint8

const (
	changed outcome = 1 << iota // added or modified
	removed
)

// node is a path element with an outcome of its own, or with children that have one.
type node struct {
	element  fieldpath.PathElement
	outcome  outcome
	children []node
}

// comparison walks two values.
type comparison struct {
	// skip leaves out children of the root and of metadata, by JSON name.
	skip, skipMeta map[string]bool
}

// compare returns the differences below two values of a plan, and the outcome of their own path. inside is set within
// an object that one side lacks as a whole.
func (c *comparison) compare(p *plan, old, now reflect.Value) (children []node, own outcome, err error) {
	if p.shape == leaf || p.bare(old) && p.bare(now) {
		return nil, c.leaf(p, old, now), nil
	}
	switch p.shape {
	case structure:
		children, err = c.structure(p, old, now)
	case mapping:
		children, err = c.mapping(p, old, now)
	case set:
		children, err = c.set(old, now)
	case keyed:
		children, err = c.keyed(p, old, now)
	}
	switch {
	case !old.IsValid():
		own = changed
	case !now.IsValid():
		own = removed
	}
	return children, own, err
}

// leaf is the outcome of a value that is owned as a whole.
func (c *comparison) leaf(p *plan, old, now reflect.Value) outcome {
	switch {
	case !old.IsValid():
		return changed
	case !now.IsValid():
		return removed
	case p.shape != leaf && null(old) == null(now), p.shape == leaf && p.same(old, now):
		return 0
	}
	return changed
}

func (c *comparison) structure(p *plan, old, now reflect.Value) ([]node, error) {
	var found []node
	old, now = orNothing(old), orNothing(now)
	for i := range p.fields {
		f := &p.fields[i]
		a, b := f.get(old), f.get(now)
		if !a.IsValid() && !b.IsValid() {
			continue
		}
		children, own, err := c.compare(f.plan, a, b)
		if err != nil {
			return nil, err
		}
		if own != 0 || len(children) > 0 {
			found = append(found, node{fieldpath.PathElement{FieldName: &f.name}, own, children})
		}
	}
	return found, nil
}

// orNothing takes null for nothing: neither has anything in it.
func orNothing(v reflect.Value) reflect.Value {
	if v.IsValid() && null(v) {
		return reflect.Value{}
	}
	return v
}

func (c *comparison) mapping(p *plan, old, now reflect.Value) ([]node, error) {
	names := mapKeys(old, now)
	found := make([]node, 0, len(names))
	for i := range names {
		key := reflect.ValueOf(names[i])
		a, b := at(old, key), at(now, key)
		children, own, err := c.compare(p.item, a, b)
		if err != nil {
			return nil, err
		}
		if own != 0 || len(children) > 0 {
			found = append(found, node{fieldpath.PathElement{FieldName: &names[i]}, own, children})
		}
	}
	return found, nil
}

// at looks a key up that is of the map's key type or a plain string.
func at(m, key reflect.Value) reflect.Value {
	if !m.IsValid() || m.IsNil() {
		return reflect.Value{}
	}
	v := m.MapIndex(key.Convert(m.Type().Key()))
	if v.IsValid() && v.Kind() == reflect.Pointer && !v.IsNil() {
		return v.Elem()
	}
	return v
}

// mapKeys are the keys of both maps, sorted.
func mapKeys(old, now reflect.Value) []string {
	var names []string
	for _, m := range []reflect.Value{old, now} {
		if !m.IsValid() || m.IsNil() {
			continue
		}
		for keys := m.MapRange(); keys.Next(); {
			names = append(names, keys.Key().String())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *comparison) set(old, now reflect.Value) ([]node, error) {
	before, err := elements(old)
	if err != nil {
		return nil, err
	}
	after, err := elements(now)
	if err != nil {
		return nil, err
	}
	var found []node
	for i, j := 0, 0; i < len(before) || j < len(after); {
		switch order := order(before, i, after, j); {
		case order < 0:
			found = append(found, node{element: fieldpath.PathElement{Value: &before[i]}, outcome: removed})
			i++
		case order > 0:
			found = append(found, node{element: fieldpath.PathElement{Value: &after[j]}, outcome: changed})
			j++
		default:
			i, j = i+1, j+1
		}
	}
	return found, nil
}

// order compares the heads of two sorted lists; an ended list is greatest.
func order(a []value.Value, i int, b []value.Value, j int) int {
	switch {
	case i == len(a):
		return 1
	case j == len(b):
		return -1
	}
	return value.Compare(a[i], b[j])
}

// elements are a set's, sorted. Duplicates are for others.
func elements(list reflect.Value) ([]value.Value, error) {
	if !list.IsValid() || list.IsNil() {
		return nil, nil
	}
	all := make([]value.Value, list.Len())
	for i := range all {
		v, err := scalarOf(list.Index(i))
		if err != nil {
			return nil, errElsewhere
		}
		all[i] = v
	}
	slices.SortFunc(all, value.Compare)
	for i := 1; i < len(all); i++ {
		if value.Compare(all[i-1], all[i]) == 0 {
			return nil, errElsewhere
		}
	}
	return all, nil
}

// member is an object of a list with its keys.
type member struct {
	keys value.FieldList
	at   reflect.Value
}

func (c *comparison) keyed(p *plan, old, now reflect.Value) ([]node, error) {
	before, err := p.members(old)
	if err != nil {
		return nil, err
	}
	after, err := p.members(now)
	if err != nil {
		return nil, err
	}
	var found []node
	for i, j := 0, 0; i < len(before) || j < len(after); {
		var keys *value.FieldList
		var a, b reflect.Value
		order := 0
		switch {
		case i == len(before):
			order = 1
		case j == len(after):
			order = -1
		default:
			order = before[i].keys.Compare(after[j].keys)
		}
		if order <= 0 {
			keys, a = &before[i].keys, before[i].at
			i++
		}
		if order >= 0 {
			keys, b = &after[j].keys, after[j].at
			j++
		}
		children, own, err := c.compare(p.item, a, b)
		if err != nil {
			return nil, err
		}
		if own != 0 || len(children) > 0 {
			found = append(found, node{fieldpath.PathElement{Key: keys}, own, children})
		}
	}
	return found, nil
}

// members are a list's objects, sorted by key. Objects without a key and duplicates are for others.
func (p *plan) members(list reflect.Value) ([]member, error) {
	if !list.IsValid() || list.IsNil() {
		return nil, nil
	}
	all := make([]member, list.Len())
	for i := range all {
		all[i].at = list.Index(i)
		all[i].keys = make(value.FieldList, len(p.keys))
		for k := range p.keys {
			v, err := p.keys[k].of(all[i].at)
			if err != nil {
				return nil, err
			}
			all[i].keys[k] = value.Field{Name: p.keys[k].field.name, Value: v}
		}
	}
	slices.SortFunc(all, func(a, b member) int { return a.keys.Compare(b.keys) })
	for i := 1; i < len(all); i++ {
		if all[i-1].keys.Compare(all[i].keys) == 0 {
			return nil, errElsewhere
		}
	}
	return all, nil
}

func (k *keyPlan) of(object reflect.Value) (value.Value, error) {
	v := k.field.get(object)
	if !v.IsValid() {
		if k.absent == nil {
			return nil, errElsewhere
		}
		return k.absent, nil
	}
	if null(v) {
		return nil, errElsewhere
	}
	found, err := scalarOf(v)
	if err != nil {
		return nil, errElsewhere
	}
	return found, nil
}

// untouched finds out quickly that a part of an object is as before: most writes change one part only.
func untouched(a, b reflect.Value) bool {
	return a.IsValid() && b.IsValid() && a.CanAddr() && b.CanAddr() && a.Kind() == reflect.Struct &&
		reflect.DeepEqual(a.Addr().Interface(), b.Addr().Interface())
}

// root compares two objects of a kind, without what nobody owns.
func (c *comparison) root(p *plan, old, now reflect.Value) ([]node, error) {
	var found []node
	for i := range p.fields {
		f := &p.fields[i]
		if c.skip[f.name] {
			continue
		}
		a, b := f.get(old), f.get(now)
		if !a.IsValid() && !b.IsValid() || untouched(a, b) {
			continue
		}
		children, own, err := c.compare(f.plan, a, b)
		if err != nil {
			return nil, err
		}
		if f.name == "metadata" {
			own = 0
			children = slices.DeleteFunc(children, func(n node) bool { return c.skipMeta[*n.element.FieldName] })
		}
		if own != 0 || len(children) > 0 {
			found = append(found, node{fieldpath.PathElement{FieldName: &f.name}, own, children})
		}
	}
	return found, nil
}
