package store

import (
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/watch"
)

// change is one event of etcd as the cache understands it.
type change struct {
	event Event
	// old is the state before, nil for an addition.
	old *Item
}

// receive takes events of this kind, in order, from the feed's goroutine.
func (c *Cache) receive(events []*clientv3.Event) {
	c.meter.received.Add(float64(len(events)))
	c.mu.Lock()
	if c.filling != nil {
		c.filling.queue = append(c.filling.queue, events...)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	s := c.snapshot.Load()
	if s == nil {
		return
	}
	changes, err := c.decodeAll(events, s)
	if err != nil {
		c.broken(string(events[0].Kv.Key), err)
		return
	}
	if len(changes) == 0 {
		return
	}
	s, changes = c.next(s, changes)
	c.publish(s, changes)
}

// decodeAll skips what the snapshot shows already: the list that filled the cache may be later than the feed.
func (c *Cache) decodeAll(events []*clientv3.Event, s *snapshot) ([]change, error) {
	changes := make([]change, 0, len(events))
	for _, event := range events {
		revision := event.Kv.ModRevision
		offered := c.written.take(revision)
		if revision <= s.revision {
			continue
		}
		if event.Type == clientv3.EventTypeDelete {
			changes = append(changes, change{event: Event{Type: watch.Deleted, Item: &Item{Key: c.keyOf(event.Kv.Key), Revision: revision}}})
			continue
		}
		item := offered
		if item == nil {
			var err error
			if item, err = c.decode(c.backend.ctx, event.Kv); err != nil {
				return nil, err
			}
		}
		changes = append(changes, change{event: Event{Type: watch.Added, Item: item}})
	}
	return changes, nil
}

// next computes the snapshot after some changes, and completes them with the states before.
func (c *Cache) next(s *snapshot, changes []change) (*snapshot, []change) {
	n := &snapshot{revision: s.revision, all: s.all, indexed: append([]tree(nil), s.indexed...)}
	done := changes[:0]
	for _, ch := range changes {
		item := ch.event.Item
		ch.old = n.all.get(item.Key)
		n.revision = item.Revision
		if ch.event.Type == watch.Deleted {
			if ch.old == nil {
				continue
			}
			ch.event.Item = ch.old.at(item.Revision)
			n.all = n.all.remove(ch.old)
		} else {
			if ch.old != nil {
				ch.event.Type = watch.Modified
			}
			n.all = n.all.insert(item)
		}
		n.reindex(ch)
		done = append(done, ch)
	}
	return n, done
}

func (n *snapshot) reindex(ch change) {
	for i := range n.indexed {
		t := n.indexed[i]
		if ch.old != nil && (ch.event.Type == watch.Deleted || t.compare(ch.old, ch.event.Item) != 0) {
			t = t.remove(ch.old)
		}
		if ch.event.Type != watch.Deleted {
			t = t.insert(ch.event.Item)
		}
		n.indexed[i] = t
	}
}

// publish shows the new state to readers and sends the changes to those who watch, in one step as far as anybody can tell.
func (c *Cache) publish(s *snapshot, changes []change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || c.snapshot.Load() == nil {
		return
	}
	from := c.log.next()
	c.log.append(changes)
	c.snapshot.Store(s)
	c.watchers.send(c, from, changes)
}
