package store

import (
	"context"

	"k8s.io/apimachinery/pkg/watch"
)

// catchUp lets the watcher read the log from a number on. Called with cache.mu held, for a watcher that is not live.
func (w *watcher) catchUp(c *Cache, from int64) {
	c.watchers.catchingUp[w] = struct{}{}
	go func() { w.finish(c, w.readLog(c, from)) }()
}

// initial lets the watcher begin with a snapshot's objects.
func (w *watcher) initial(c *Cache, s *snapshot, next, revision int64) {
	c.watchers.catchingUp[w] = struct{}{}
	go func() {
		if w.sendSnapshot(c, s, revision) {
			w.finish(c, w.readLog(c, next))
		} else {
			w.finish(c, false)
		}
	}()
}

// waitFor lets the watcher begin at a revision that is not there yet.
func (w *watcher) waitFor(c *Cache, revision int64) {
	c.watchers.catchingUp[w] = struct{}{}
	ctx, cancel := context.WithCancel(c.backend.ctx)
	go func() {
		defer cancel()
		go func() {
			select {
			case <-w.interrupted:
				cancel()
			case <-ctx.Done():
			}
		}()
		reached := c.backend.feed.wait(ctx, revision) == nil
		from := int64(-1)
		c.mu.Lock()
		if reached && c.snapshot.Load() != nil && revision >= c.log.floor {
			from = c.log.after(revision)
		}
		c.mu.Unlock()
		w.finish(c, from >= 0 && w.readLog(c, from))
	}()
}

// readLog sends changes from a number on until there are no more, and makes the watcher live then; false if it was
// interrupted or lost touch.
func (w *watcher) readLog(c *Cache, from int64) bool {
	for {
		c.mu.Lock()
		sp, ok := c.log.spanFrom(from)
		if ok && len(sp.events) == 0 && c.snapshot.Load() != nil && !w.isInterrupted() {
			delete(c.watchers.catchingUp, w)
			c.watchers.join(w)
			c.mu.Unlock()
			return true
		}
		c.mu.Unlock()
		if !ok || w.isInterrupted() {
			return false
		}
		from += int64(len(sp.events))
		if batch := w.choose(&sp); len(batch) > 0 && !w.send(batch) {
			return false
		}
	}
}

// choose returns what of a span is to be sent.
func (w *watcher) choose(sp *span) []Event {
	if w.selected.everything() {
		return sp.events
	}
	var batch []Event
	for i := range sp.events {
		if event, ok := w.selected.judge(sp, i); ok {
			batch = append(batch, event)
		}
	}
	return batch
}

func (w *watcher) send(batch []Event) bool {
	w.pending.Add(1)
	select {
	case w.events <- batch:
		return true
	case <-w.interrupted:
		return false
	}
}

func (w *watcher) isInterrupted() bool {
	select {
	case <-w.interrupted:
		return true
	default:
		return false
	}
}

// finish closes a watcher that did not become live.
func (w *watcher) finish(c *Cache, live bool) {
	if live {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watchers.catchingUp, w)
	if w.cause != nil && w.isInterrupted() {
		w.trySend(failure(w.cause))
	}
	w.close()
}

const initialBatch = 256

// sendSnapshot sends an Added for each object and, if asked, the bookmark that says that these are all.
func (w *watcher) sendSnapshot(c *Cache, s *snapshot, revision int64) bool {
	t, from, to := c.candidates(s, w.selected, nil)
	var batch []Event
	sent := true
	t.ascend(from, func(item *Item) bool {
		if from >= to {
			return false
		}
		from++
		if w.selected.matches(item) {
			batch = append(batch, Event{Type: watch.Added, Item: item})
		}
		if len(batch) == initialBatch {
			sent = w.send(batch)
			batch = nil
		}
		return sent
	})
	if sent && len(batch) > 0 {
		sent = w.send(batch)
	}
	if sent && w.ended {
		sent = w.send(c.bookmark(revision, true))
	}
	return sent
}
