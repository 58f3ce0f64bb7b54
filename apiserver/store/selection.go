package store

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/septet-io/septet/resource"
)

// fieldTable has the field selectors of a kind by name.
type fieldTable map[string]func(resource.Object) string

func newFieldTable(kind *resource.Kind) fieldTable {
	table := fieldTable{"metadata.name": resource.Object.GetName}
	if kind.Namespaced() {
		table["metadata.namespace"] = resource.Object.GetNamespace
	}
	for _, field := range kind.Fields {
		table[field.Name] = field.Value
	}
	return table
}

// value panics if the field is not in the table: only for names that the program itself gives.
func (t fieldTable) value(name string) func(resource.Object) string {
	if value := t[name]; value != nil {
		return value
	}
	panic(fmt.Sprintf("store: no field %q to index", name))
}

// selected is a Query's choice of objects, taken apart so that as much as possible is found by index.
type selected struct {
	namespace, name string
	labels          labels.Selector // nil: all
	fields          []fieldTest
	// index is the position of an indexed field with exactly one wanted value; -1: none.
	index int
	value string
	// id is equal for equal selections.
	id string
}

type fieldTest struct {
	value func(resource.Object) string
	want  string
	equal bool
}

// newSelected takes a Query apart. Fields that the kind does not have are a BadRequest.
func (c *Cache) newSelected(q *Query) (*selected, error) {
	s := &selected{namespace: q.Namespace, name: q.Name, index: -1}
	if q.Labels != nil && !q.Labels.Empty() {
		s.labels = q.Labels
		s.id = q.Labels.String()
	}
	if q.Fields != nil && !q.Fields.Empty() {
		s.id += "\x00" + q.Fields.String()
		for _, requirement := range q.Fields.Requirements() {
			if err := c.addField(s, requirement); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func (c *Cache) addField(s *selected, r fields.Requirement) error {
	value := c.fields[r.Field]
	if value == nil {
		return apierrors.NewBadRequest(fmt.Sprintf("field label not supported: %s", r.Field))
	}
	equal := r.Operator != selection.NotEquals
	if equal && r.Field == "metadata.name" && s.name == "" && r.Value != "" {
		s.name = r.Value
		return nil
	}
	if equal && r.Field == "metadata.namespace" && s.namespace == "" && r.Value != "" {
		s.namespace = r.Value
		return nil
	}
	if equal && s.index < 0 {
		for i, field := range c.index {
			if field.Name == r.Field {
				s.index, s.value = i, r.Value
			}
		}
	}
	s.fields = append(s.fields, fieldTest{value, r.Value, equal})
	return nil
}

// everything says that no object is left out.
func (s *selected) everything() bool {
	return s.namespace == "" && s.name == "" && s.labels == nil && s.fields == nil
}

// byPlace says that nothing but namespace and name choose.
func (s *selected) byPlace() bool { return s.labels == nil && s.fields == nil }

func (s *selected) matches(item *Item) bool {
	if s.namespace != "" && s.namespace != item.Key.Namespace || s.name != "" && s.name != item.Key.Name {
		return false
	}
	for i := range s.fields {
		if f := &s.fields[i]; (f.value(item.Object) == f.want) != f.equal {
			return false
		}
	}
	return s.labels == nil || s.labels.Matches(labels.Set(item.Object.GetLabels()))
}

// judge says what change i of a span is to those who watch this selection; ok is false if nothing.
func (s *selected) judge(sp *span, i int) (event Event, ok bool) {
	event = sp.events[i]
	isIn := event.Type != watch.Deleted && s.matches(event.Item)
	wasIn := sp.olds[i] != nil && s.matches(sp.olds[i])
	switch {
	case isIn && wasIn:
		return Event{Type: watch.Modified, Item: event.Item}, true
	case isIn:
		return Event{Type: watch.Added, Item: event.Item}, true
	case wasIn && event.Type == watch.Deleted:
		return event, true
	case wasIn:
		return Event{Type: watch.Deleted, Item: sp.leaving(i)}, true
	}
	return Event{}, false
}
