package store

import "strings"

// tree is a persistent B+ tree of items: insert and remove return a new tree that shares all but one path with the old
// one, so that a reader keeps a consistent picture for as long as it likes without a lock. Every node knows how many
// items are below it, so positions (how many follow?) are found in logarithmic time.
type tree struct {
	root    *node
	compare func(a, b *Item) int
}

// node is a leaf (items) or an inner node (children), never changed once published.
type node struct {
	items    []*Item
	children []*node
	size     int
}

// width bounds items of a leaf and children of an inner node: a write copies a few hundred bytes a level.
const width = 32

// compareKeys orders as etcd orders the paths "namespace/name": '-' and '.' sort before '/'.
func compareKeys(a, b Key) int {
	if a.Namespace == b.Namespace {
		return strings.Compare(a.Name, b.Name)
	}
	shorter := min(len(a.Namespace), len(b.Namespace))
	if c := strings.Compare(a.Namespace[:shorter], b.Namespace[:shorter]); c != 0 {
		return c
	}
	if len(a.Namespace) < len(b.Namespace) {
		return compareBytes('/', b.Namespace[shorter])
	}
	return compareBytes(a.Namespace[shorter], '/')
}

func compareBytes(a, b byte) int {
	if a < b {
		return -1
	}
	return 1
}

func byKey(a, b *Item) int { return compareKeys(a.Key, b.Key) }

// build makes a tree of items that are in order already.
func build(compare func(a, b *Item) int, items []*Item) tree {
	t := tree{compare: compare}
	if len(items) == 0 {
		return t
	}
	var level []*node
	// Leaves are left a little room, since writes follow.
	const fill = width * 3 / 4
	for len(items) > 0 {
		n := min(fill, len(items))
		level = append(level, &node{items: append(make([]*Item, 0, n), items[:n]...), size: n})
		items = items[n:]
	}
	for len(level) > 1 {
		var above []*node
		for len(level) > 0 {
			n := min(fill, len(level))
			above = append(above, inner(level[:n]))
			level = level[n:]
		}
		level = above
	}
	t.root = level[0]
	return t
}

func inner(children []*node) *node {
	n := &node{children: append(make([]*node, 0, len(children)), children...)}
	for _, child := range children {
		n.size += child.size
	}
	return n
}

func (t tree) len() int {
	if t.root == nil {
		return 0
	}
	return t.root.size
}

// rank is how many items come before, where before is true for a prefix of the order and false for the rest.
func (t tree) rank(before func(*Item) bool) int {
	rank := 0
	for n := t.root; n != nil; {
		if n.children == nil {
			return rank + search(len(n.items), func(i int) bool { return before(n.items[i]) })
		}
		// The wanted child is the last whose first item comes before.
		i := max(0, search(len(n.children), func(i int) bool { return before(n.children[i].first()) })-1)
		for _, child := range n.children[:i] {
			rank += child.size
		}
		n = n.children[i]
	}
	return rank
}

// search returns the first index for which before is false.
func search(n int, before func(int) bool) int {
	low, high := 0, n
	for low < high {
		middle := (low + high) / 2
		if before(middle) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

func (n *node) first() *Item {
	for n.children != nil {
		n = n.children[0]
	}
	return n.items[0]
}

// get returns the item with a key from a tree ordered by key, nil if there is none.
func (t tree) get(key Key) *Item {
	n := t.root
	if n == nil {
		return nil
	}
	for n.children != nil {
		low, high := 1, len(n.children)
		for low < high {
			middle := (low + high) / 2
			if compareKeys(n.children[middle].first().Key, key) <= 0 {
				low = middle + 1
			} else {
				high = middle
			}
		}
		n = n.children[low-1]
	}
	low, high := 0, len(n.items)
	for low < high {
		middle := (low + high) / 2
		c := compareKeys(n.items[middle].Key, key)
		if c == 0 {
			return n.items[middle]
		}
		if c < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return nil
}

// ascend calls visit for the items from a position on, until it returns false.
func (t tree) ascend(from int, visit func(*Item) bool) {
	if t.root != nil && from < t.root.size {
		t.root.ascend(from, visit)
	}
}

func (n *node) ascend(from int, visit func(*Item) bool) bool {
	for _, item := range n.items[min(from, len(n.items)):] {
		if !visit(item) {
			return false
		}
	}
	for _, child := range n.children {
		if from >= child.size {
			from -= child.size
			continue
		}
		if !child.ascend(from, visit) {
			return false
		}
		from = 0
	}
	return true
}
