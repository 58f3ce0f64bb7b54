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
	if kind.Namespaced() || len(kind.Fields) == 0 {
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
	labels          labels.Selector // nil: all, or only what pairs say
	pairs           []labelPair
	fields          []fieldTest
	// index is the position of an indexed field with exactly one wanted value; -1: none.
	index int
	value string
	// id is equal for equal selections.
	id string
}

// labelPair is a label that must have a value: what most label selectors consist of.
type labelPair struct{ key, value string }

// pairsOf takes a selector apart if it consists of such pairs only.
func pairsOf(s labels.Selector) (pairs []labelPair, ok bool) {
	requirements, selectable := s.Requirements()
	if !selectable {
		return nil, false
	}
	for _, r := range requirements {
		values := r.Values().UnsortedList()
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
			if len(values) != 1 {
				return nil, false
			}
			pairs = append(pairs, labelPair{r.Key(), values[0]})
		default:
			return nil, false
		}
	}
	return pairs, true
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
		var ok bool
		if s.pairs, ok = pairsOf(q.Labels); !ok {
			s.labels = q.Labels
		}
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
	return s.namespace == "" && s.name == "" && s.byPlace()
}

// byPlace says that nothing but namespace and name choose.
func (s *selected) byPlace() bool { return s.labels == nil && s.pairs == nil && s.fields == nil }

func (s *selected) matches(item *Item) bool {
	if s.namespace != "" && s.namespace != item.Key.Namespace || s.name != "" && s.name != item.Key.Name {
		return false
	}
	for i := range s.fields {
		if f := &s.fields[i]; (f.value(item.Object) == f.want) != f.equal {
			return false
		}
	}
	if s.labels == nil && s.pairs == nil {
		return true
	}
	set := item.Object.GetLabels()
	for i := range s.pairs {
		if value, ok := set[s.pairs[i].key]; !ok || value != s.pairs[i].value {
			return false
		}
	}
	return s.labels == nil || s.labels.Matches(labels.Set(set))
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
