package store

// subscriptions route each change to those who watch something that it could concern: a change looks at the
// watchers of everything, of its namespace, of its name and of its indexed values, and at no others. Watchers of equal selections
// are a group, for which each change is judged once. Guarded by Cache.mu.
type subscriptions struct {
	all         map[string]*group
	byNamespace map[string]map[string]*group
	byKey       map[Key]map[string]*group
	byValue     []map[string]map[string]*group
	// catchingUp are watchers that read the log by themselves.
	catchingUp map[*watcher]struct{}

	touched []*group               // by the changes being sent
	later   []interface{ Flush() } // connections that have got some of them
}

// group is the watchers of one selection that have seen all changes so far.
type group struct {
	selected *selected
	members  map[*watcher]struct{}

	// What the changes being sent come to for this group.
	batch   []Event
	shared  bool // batch is a part of the log: from position begin of the span
	begin   int
	touched bool
}

func (s *subscriptions) init(indexed int) {
	s.all = map[string]*group{}
	s.byNamespace = map[string]map[string]*group{}
	s.byKey = map[Key]map[string]*group{}
	s.byValue = make([]map[string]map[string]*group, indexed)
	for i := range s.byValue {
		s.byValue[i] = map[string]map[string]*group{}
	}
	s.catchingUp = map[*watcher]struct{}{}
}

// join makes a watcher live.
func (s *subscriptions) join(w *watcher) {
	switch sel := w.selected; {
	case sel.name != "":
		joinAt(s.byKey, Key{sel.namespace, sel.name}, w)
	case sel.index >= 0:
		joinAt(s.byValue[sel.index], sel.value, w)
	case sel.namespace != "":
		joinAt(s.byNamespace, sel.namespace, w)
	default:
		joinGroup(s.all, w)
	}
}

func joinAt[K comparable](table map[K]map[string]*group, at K, w *watcher) {
	groups := table[at]
	if groups == nil {
		groups = make(map[string]*group, 1)
		table[at] = groups
	}
	joinGroup(groups, w)
}

func joinGroup(groups map[string]*group, w *watcher) {
	id := w.selected.id
	// Selections found by value may still differ in namespace.
	if w.selected.index >= 0 {
		id += "\x00" + w.selected.namespace
	}
	g := groups[id]
	if g == nil {
		g = &group{selected: w.selected, members: make(map[*watcher]struct{}, 1)}
		groups[id] = g
	}
	g.members[w] = struct{}{}
	w.group, w.groupID = g, id
}

// leave takes a live watcher out.
func (s *subscriptions) leave(w *watcher) {
	g := w.group
	if g == nil {
		return
	}
	w.group = nil
	delete(g.members, w)
	if len(g.members) > 0 {
		return
	}
	switch sel := w.selected; {
	case sel.name != "":
		dropAt(s.byKey, Key{sel.namespace, sel.name}, w.groupID)
	case sel.index >= 0:
		dropAt(s.byValue[sel.index], sel.value, w.groupID)
	case sel.namespace != "":
		dropAt(s.byNamespace, sel.namespace, w.groupID)
	default:
		delete(s.all, w.groupID)
	}
}

func dropAt[K comparable](table map[K]map[string]*group, at K, id string) {
	delete(table[at], id)
	if len(table[at]) == 0 {
		delete(table, at)
	}
}

// send delivers the changes from a number on, which have just been appended to the log.
func (s *subscriptions) send(c *Cache, from int64, changes []change) {
	for number := from; number < c.log.end; {
		sp, _ := c.log.spanFrom(number)
		for i := range sp.events {
			s.route(c, &sp, i)
		}
		number += int64(len(sp.events))
		// A slice of the log cannot reach over the end of a chunk.
		for _, g := range s.touched {
			g.shared = g.shared && number == c.log.end
			if !g.shared {
				g.batch = g.batch[:len(g.batch):len(g.batch)]
			}
		}
	}
	for i, g := range s.touched {
		g.flush(c, from)
		s.touched[i] = nil
	}
	s.touched = s.touched[:0]
	for i, one := range s.later {
		one.Flush()
		s.later[i] = nil
	}
	s.later = s.later[:0]
}

func (s *subscriptions) route(c *Cache, sp *span, i int) {
	item, old := sp.events[i].Item, sp.olds[i]
	s.judgeAll(s.all, sp, i)
	if len(s.byNamespace) > 0 {
		s.judgeAll(s.byNamespace[item.Key.Namespace], sp, i)
	}
	if len(s.byKey) > 0 {
		s.judgeAll(s.byKey[item.Key], sp, i)
		if item.Key.Namespace != "" {
			s.judgeAll(s.byKey[Key{Name: item.Key.Name}], sp, i)
		}
	}
	for n, table := range s.byValue {
		if len(table) == 0 {
			continue
		}
		value := c.index[n].Value(item.Object)
		s.judgeAll(table[value], sp, i)
		if old != nil {
			if before := c.index[n].Value(old.Object); before != value {
				s.judgeAll(table[before], sp, i)
			}
		}
	}
}

func (s *subscriptions) judgeAll(groups map[string]*group, sp *span, i int) {
	for _, g := range groups {
		event, ok := g.selected.judge(sp, i)
		if !ok {
			continue
		}
		if !g.touched {
			g.touched = true
			s.touched = append(s.touched, g)
		}
		g.add(event, sp, i)
	}
}

// add appends an event to the batch: by lengthening a slice of the log as long as nothing is left out or different.
func (g *group) add(event Event, sp *span, i int) {
	same := event.Type == sp.events[i].Type && event.Item == sp.events[i].Item
	switch {
	case same && len(g.batch) == 0:
		g.batch, g.begin, g.shared = sp.events[i:i+1:i+1], i, true
	case same && g.shared && g.begin+len(g.batch) == i:
		g.batch = sp.events[g.begin : i+1 : i+1]
	default:
		// The capacity of a shared slice ends with it, so this copies.
		g.batch, g.shared = append(g.batch, event), false
	}
}

// crowd is of how many watchers a group is one for which encoding an event once, for all of them, is not too much for the feed.
const crowd = 8

// flush sends the batch to all members; one that does not take it now goes on from the log.
func (g *group) flush(c *Cache, from int64) {
	dear := len(g.members) >= crowd
	for w := range g.members {
		batch := g.batch
		if w.direct != nil && w.pending.Load() == 0 {
			n, later := w.direct.Offer(batch, dear)
			if later != nil {
				c.watchers.later = append(c.watchers.later, later)
			}
			if batch = batch[n:]; len(batch) == 0 {
				continue
			}
			// What is left always finds room in the channel: it is empty.
		}
		if !w.trySend(batch) {
			c.watchers.leave(w)
			w.catchUp(c, from)
		}
	}
	g.batch, g.shared, g.touched = nil, false, false
}

// endAll ends all watches with an error.
func (s *subscriptions) endAll(cause error) {
	end := func(groups map[string]*group) {
		for _, g := range groups {
			for w := range g.members {
				w.endLive(cause)
			}
		}
	}
	end(s.all)
	for _, groups := range s.byNamespace {
		end(groups)
	}
	for _, groups := range s.byKey {
		end(groups)
	}
	for _, table := range s.byValue {
		for _, groups := range table {
			end(groups)
		}
	}
	for w := range s.catchingUp {
		w.interrupt(cause)
	}
	s.init(len(s.byValue))
}
