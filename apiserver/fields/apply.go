package fields

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/septet-io/septet/resource"
)

// lastApplied is what client-side apply leaves; changes from that to server-side apply are left to others.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Apply returns live with wanted merged into it, and its managedFields as server-side apply by manager leaves them, and whether more
// than these changed. owns are the paths in wanted, which fits the kind's schema. Nil: this apply is out of the ordinary, since it takes something away, conflicts
// with another manager, adds to or reorders a list.
func (t *Tracker) Apply(live resource.Object, wanted map[string]any, owns *fieldpath.Set, manager string, now time.Time) (obj resource.Object, altered bool) {
	stored := live.GetManagedFields()
	_, migrating := live.GetAnnotations()[lastApplied]
	if _, ordinary := t.entries(live, live); !ordinary || len(stored) == 0 || migrating || !t.ownable(wanted) {
		return nil, false
	}
	obj = live.DeepCopyObject().(resource.Object)
	if err := t.plan.mergeFields(reflect.ValueOf(obj).Elem(), wanted, t.compare.skip); err != nil {
		return nil, false
	}
	nodes, err := t.compare.root(t.plan, reflect.ValueOf(live).Elem(), reflect.ValueOf(obj).Elem())
	if err != nil || reaches(nodes, removed) {
		return nil, false
	}
	entries, ok := t.applied(stored, nodes, owns, manager, now)
	if !ok {
		return nil, false
	}
	obj.SetManagedFields(entries)
	return obj, len(nodes) > 0
}

// ownable says that wanted names nothing that nobody can own through this subresource, but the object itself.
func (t *Tracker) ownable(wanted map[string]any) bool {
	for key := range wanted {
		if t.compare.skip[key] && key != "kind" && key != "apiVersion" && key != "metadata" {
			return false
		}
	}
	metadata, _ := wanted["metadata"].(map[string]any)
	for key := range metadata {
		if (t.compare.skip["metadata"] || t.compare.skipMeta[key]) && key != "name" && key != "namespace" {
			return false
		}
	}
	return true
}

// applied gives manager what it owns now; false if it owned more before, or if what changed is somebody else's.
func (t *Tracker) applied(entries []metav1.ManagedFieldsEntry, nodes []node, owns *fieldpath.Set, manager string, now time.Time) ([]metav1.ManagedFieldsEntry, bool) {
	own := metav1.ManagedFieldsEntry{
		Manager: manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: t.apiVersion, Subresource: t.subresource, FieldsType: "FieldsV1",
	}
	gained := pathSet(nodes, changed)
	result := make([]metav1.ManagedFieldsEntry, 0, len(entries)+1)
	for _, entry := range entries {
		set, err := setOf(entry.FieldsV1.GetRawString())
		switch {
		case err != nil:
			return nil, false
		case isMine(&entry, &own):
			if !set.Difference(owns).Empty() {
				return nil, false
			}
			own.Time = entry.Time
		case !set.Intersection(gained).Empty():
			return nil, false
		default:
			result = append(result, entry)
		}
	}
	if len(nodes) > 0 {
		stamp := metav1.NewTime(now.UTC().Truncate(time.Second))
		own.Time = &stamp
	}
	if !owns.Empty() {
		raw, err := owns.ToJSON()
		if err != nil {
			return nil, false
		}
		own.FieldsV1 = metav1.NewFieldsV1(string(raw))
		result = append(result, own)
	}
	slices.SortStableFunc(result, byAge)
	return result, true
}

// merge puts a generic value into a Go value, which nobody else has.
func (p *plan) merge(into reflect.Value, from any) error {
	if from == nil {
		return errElsewhere
	}
	if into.Kind() == reflect.Pointer && p.shape != leaf {
		if into.IsNil() {
			into.Set(reflect.New(into.Type().Elem()))
		}
		into = into.Elem()
	}
	switch p.shape {
	case structure:
		fields, ok := from.(map[string]any)
		if !ok {
			return errElsewhere
		}
		return p.mergeFields(into, fields, nil)
	case mapping:
		return p.mergeMap(into, from)
	case set:
		return p.mergeSet(into, from)
	case keyed:
		return p.mergeKeyed(into, from)
	}
	return decode(into, from)
}

// mergeFields merges the fields of a structure, but those to skip.
func (p *plan) mergeFields(into reflect.Value, from map[string]any, skip map[string]bool) error {
	for name, value := range from {
		if skip[name] {
			continue
		}
		i, known := slices.BinarySearchFunc(p.fields, name, func(f fieldPlan, name string) int { return strings.Compare(f.name, name) })
		if !known {
			return errElsewhere
		}
		if err := p.fields[i].plan.merge(into.FieldByIndex(p.fields[i].index), value); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) mergeMap(into reflect.Value, from any) error {
	entries, ok := from.(map[string]any)
	if !ok || p.item.shape != leaf {
		return errElsewhere
	}
	if into.IsNil() {
		into.Set(reflect.MakeMapWithSize(into.Type(), len(entries)))
	}
	for key, value := range entries {
		item := reflect.New(into.Type().Elem()).Elem()
		if err := p.item.merge(item, value); err != nil {
			return err
		}
		into.SetMapIndex(reflect.ValueOf(key).Convert(into.Type().Key()), item)
	}
	return nil
}

// mergeSet takes a list where there was none; else all of it must be there already, in the same order.
func (p *plan) mergeSet(into reflect.Value, from any) error {
	if into.Len() == 0 {
		return decode(into, from)
	}
	wanted := reflect.New(into.Type()).Elem()
	if err := decode(wanted, from); err != nil {
		return err
	}
	at := 0
	for i := range wanted.Len() {
		for at < into.Len() && !sameValue(into.Index(at), wanted.Index(i)) {
			at++
		}
		if at++; at > into.Len() {
			return errElsewhere
		}
	}
	return nil
}

// mergeKeyed takes a list where there was none; else each object must be there already, in the same order.
func (p *plan) mergeKeyed(into reflect.Value, from any) error {
	wanted, ok := from.([]any)
	switch {
	case !ok:
		return errElsewhere
	case into.Len() == 0:
		return decode(into, from)
	}
	at := 0
	for _, one := range wanted {
		object, ok := one.(map[string]any)
		if !ok {
			return errElsewhere
		}
		for at < into.Len() && !p.isFor(object, into.Index(at)) {
			at++
		}
		if at == into.Len() {
			return errElsewhere
		}
		if err := p.item.merge(into.Index(at), object); err != nil {
			return err
		}
		at++
	}
	_, err := p.members(into) // duplicates are for others
	return err
}

// isFor says whether a generic object has the keys of one in a list.
func (p *plan) isFor(object map[string]any, there reflect.Value) bool {
	for i := range p.keys {
		key := &p.keys[i]
		has, err := key.of(there)
		if err != nil {
			return false
		}
		wanted, given := object[key.field.name]
		if !given && key.absent != nil {
			wanted = key.absent.Unstructured()
		}
		if wanted != has.Unstructured() {
			return false
		}
	}
	return true
}

// decode sets a Go value to a generic one.
func decode(into reflect.Value, from any) error {
	if text, ok := from.(string); ok && into.Kind() == reflect.String && !scalar(into.Type()) {
		into.SetString(text)
		return nil
	}
	text, err := json.Marshal(from)
	if err != nil {
		return errElsewhere
	}
	fresh := reflect.New(into.Type())
	if err := json.Unmarshal(text, fresh.Interface()); err != nil {
		return errElsewhere
	}
	if compound(into.Type()) && !sameText(text, fresh.Interface()) {
		return errElsewhere // as a generic value it is another one: a list that must be there is not
	}
	into.Set(fresh.Elem())
	return nil
}

// compound says whether a value of the type may have fields.
func compound(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && !scalar(t)
}

// sameText says whether a Go value is written as text is, but for the order of fields.
func sameText(text []byte, value any) bool {
	written, err := json.Marshal(value)
	if err != nil {
		return false
	}
	var generic any
	if err := json.Unmarshal(written, &generic); err != nil {
		return false
	}
	again, err := json.Marshal(generic)
	return err == nil && bytes.Equal(text, again)
}
