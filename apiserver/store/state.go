package store

import "context"

// State is all objects of a kind at one time. Two are equal exactly if nothing of the kind has changed in between, so that what
// was made of one can be kept for as long as the next is the same. The zero value has no objects.
type State struct{ at *snapshot }

// Items are the objects in key order. They must not be changed.
func (s State) Items() []*Item {
	if s.at == nil {
		return nil
	}
	items := make([]*Item, 0, s.at.all.len())
	s.at.all.ascend(0, func(item *Item) bool {
		items = append(items, item)
		return true
	})
	return items
}

// State returns what is at hand, filling the cache first if need be. It costs an atomic load.
func (c *Cache) State(ctx context.Context) (State, error) {
	if s := c.snapshot.Load(); s != nil {
		return State{s}, nil
	}
	s, err := c.current(ctx)
	return State{s}, c.status("list", err)
}
