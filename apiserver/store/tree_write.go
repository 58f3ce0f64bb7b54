package store

// insert adds an item or replaces the one that compares equal.
func (t tree) insert(item *Item) tree {
	if t.root == nil {
		return tree{compare: t.compare, root: &node{items: []*Item{item}, size: 1}}
	}
	left, right := t.root.insert(item, t.compare)
	if right != nil {
		left = inner([]*node{left, right})
	}
	return tree{compare: t.compare, root: left}
}

// insert returns the changed copy of n, and a second half if it had to be split.
func (n *node) insert(item *Item, compare func(a, b *Item) int) (*node, *node) {
	if n.children == nil {
		return n.insertLeaf(item, compare)
	}
	i := n.childFor(item, compare)
	left, right := n.children[i].insert(item, compare)
	children := make([]*node, 0, len(n.children)+1)
	children = append(append(children, n.children[:i]...), left)
	if right != nil {
		children = append(children, right)
	}
	children = append(children, n.children[i+1:]...)
	if len(children) <= width {
		return withChildren(children), nil
	}
	// An append at the end (names that grow) leaves the left half full, so that such trees are dense.
	half := len(children) / 2
	if i == len(n.children)-1 {
		half = len(children) - 2
	}
	return inner(children[:half]), inner(children[half:])
}

func withChildren(children []*node) *node {
	n := &node{children: children}
	for _, child := range children {
		n.size += child.size
	}
	return n
}

func (n *node) childFor(item *Item, compare func(a, b *Item) int) int {
	return max(0, search(len(n.children), func(i int) bool { return compare(n.children[i].first(), item) <= 0 })-1)
}

func (n *node) insertLeaf(item *Item, compare func(a, b *Item) int) (*node, *node) {
	i := search(len(n.items), func(i int) bool { return compare(n.items[i], item) < 0 })
	if i < len(n.items) && compare(n.items[i], item) == 0 {
		items := append(make([]*Item, 0, len(n.items)), n.items...)
		items[i] = item
		return &node{items: items, size: len(items)}, nil
	}
	items := make([]*Item, 0, len(n.items)+1)
	items = append(append(append(items, n.items[:i]...), item), n.items[i:]...)
	if len(items) <= width {
		return &node{items: items, size: len(items)}, nil
	}
	half := len(items) / 2
	if i == len(n.items) {
		half = len(items) - 1
	}
	left := append(make([]*Item, 0, half), items[:half]...)
	right := append(make([]*Item, 0, len(items)-half), items[half:]...)
	return &node{items: left, size: len(left)}, &node{items: right, size: len(right)}
}

// remove takes out the item that compares equal, if there is one.
func (t tree) remove(item *Item) tree {
	if t.root == nil {
		return t
	}
	root, found := t.root.remove(item, t.compare)
	if !found {
		return t
	}
	for root != nil && len(root.children) == 1 {
		root = root.children[0]
	}
	return tree{compare: t.compare, root: root}
}

// remove returns the changed copy of n, nil if nothing is left of it.
func (n *node) remove(item *Item, compare func(a, b *Item) int) (*node, bool) {
	if n.children == nil {
		i := search(len(n.items), func(i int) bool { return compare(n.items[i], item) < 0 })
		if i == len(n.items) || compare(n.items[i], item) != 0 {
			return n, false
		}
		if len(n.items) == 1 {
			return nil, true
		}
		items := append(append(make([]*Item, 0, len(n.items)-1), n.items[:i]...), n.items[i+1:]...)
		return &node{items: items, size: len(items)}, true
	}
	i := n.childFor(item, compare)
	child, found := n.children[i].remove(item, compare)
	if !found {
		return n, false
	}
	children := append(make([]*node, 0, len(n.children)), n.children...)
	if child == nil {
		children = append(children[:i], children[i+1:]...)
	} else {
		children[i] = child
		children = mergeAt(children, i)
	}
	if len(children) == 0 {
		return nil, true
	}
	return withChildren(children), true
}

// mergeAt joins a thin child with its right or left neighbour, so that removals do not leave many nearly empty nodes.
func mergeAt(children []*node, i int) []*node {
	if children[i].thickness() > width/4 {
		return children
	}
	for _, left := range []int{i - 1, i} {
		if left < 0 || left+1 >= len(children) || children[left].thickness()+children[left+1].thickness() > width*3/4 {
			continue
		}
		children[left] = merge(children[left], children[left+1])
		return append(children[:left+1], children[left+2:]...)
	}
	return children
}

func (n *node) thickness() int { return len(n.items) + len(n.children) }

func merge(a, b *node) *node {
	if a.children == nil {
		items := append(append(make([]*Item, 0, len(a.items)+len(b.items)), a.items...), b.items...)
		return &node{items: items, size: len(items)}
	}
	return withChildren(append(append(make([]*node, 0, len(a.children)+len(b.children)), a.children...), b.children...))
}
