package store

import (
	"slices"
	"strings"

	"github.com/septet-io/septet/resource"
)

// An index is a tree of all items in the order of a field's value, then key.

func byField(field resource.KindField) func(a, b *Item) int {
	return func(a, b *Item) int {
		if a == b {
			return 0
		}
		if c := strings.Compare(field.Value(a.Object), field.Value(b.Object)); c != 0 {
			return c
		}
		return compareKeys(a.Key, b.Key)
	}
}

func buildIndex(field resource.KindField, items []*Item) tree {
	compare := byField(field)
	sorted := slices.Clone(items)
	slices.SortFunc(sorted, compare)
	return build(compare, sorted)
}

// candidates returns a tree and the range of positions in it that has all items of a selection, and perhaps others,
// in key order; start, if not nil, is the first key wanted.
func (c *Cache) candidates(s *snapshot, sel *selected, start *Key) (t tree, from, to int) {
	before := func(key Key) func(*Item) bool {
		return func(i *Item) bool { return compareKeys(i.Key, key) < 0 }
	}
	if sel.index >= 0 && !(sel.name != "" && sel.namespace != "") {
		t = s.indexed[sel.index]
		value := c.index[sel.index].Value
		from = t.rank(func(i *Item) bool {
			v := value(i.Object)
			return v < sel.value || v == sel.value && start != nil && compareKeys(i.Key, *start) < 0
		})
		return t, from, t.rank(func(i *Item) bool { return value(i.Object) <= sel.value })
	}
	t, to = s.all, s.all.len()
	if sel.namespace != "" || !c.kind.Namespaced() && sel.name != "" {
		low := Key{Namespace: sel.namespace, Name: sel.name}
		high := Key{Namespace: sel.namespace, Name: sel.name + "\x00"}
		if sel.name == "" {
			high.Name = "\xff"
		}
		from, to = t.rank(before(low)), t.rank(before(high))
	}
	if start != nil {
		from = max(from, t.rank(before(*start)))
	}
	return t, from, max(from, to)
}
