package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
)

// Watch delivers changes. As upstream does, it reports an old revision by an Error event rather than an error, since
// a watch that began well may end so too.
func (c *Cache) Watch(ctx context.Context, q WatchQuery) (Watcher, error) {
	w, err := c.watch(ctx, &q)
	if err != nil {
		return nil, c.status("watch", err)
	}
	return w, nil
}

func (c *Cache) watch(ctx context.Context, q *WatchQuery) (*watcher, error) {
	selected, err := c.newSelected(&q.Query)
	if err != nil {
		return nil, err
	}
	asked, err := parseRevision(q.ResourceVersion)
	if err != nil {
		return nil, err
	}
	initial := q.SendInitialEvents == nil && asked == 0 || q.SendInitialEvents != nil && *q.SendInitialEvents
	if err := c.reachForWatch(ctx, q, asked, initial); err != nil {
		return nil, err
	}
	w := newWatcher(c, selected)
	w.ended = initial && q.SendInitialEvents != nil
	for {
		if _, err := c.current(ctx); err != nil {
			return nil, err
		}
		if c.begin(w, asked, initial) {
			break
		}
	}
	w.bound(ctx, q.Bookmarks)
	c.mu.Lock()
	retired := c.retired
	c.mu.Unlock()
	if retired {
		w.Stop()
	}
	return w, nil
}

// reachForWatch waits for the state from which the watch begins.
func (c *Cache) reachForWatch(ctx context.Context, q *WatchQuery, asked int64, initial bool) error {
	if q.ResourceVersion == "" {
		_, err := c.progress(ctx)
		return err
	}
	if _, err := c.current(ctx); err != nil {
		return err
	}
	if initial && asked > 0 {
		return c.reach(ctx, asked)
	}
	return nil
}

// begin finds where in the log the watch starts and lets it run; false if the cache was emptied meanwhile.
func (c *Cache) begin(w *watcher, asked int64, initial bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.snapshot.Load()
	if s == nil {
		return false
	}
	reached := max(s.revision, c.backend.feed.revision.Load())
	switch {
	case initial:
		w.initial(c, s, c.log.next(), reached)
	case asked == 0 || asked == reached:
		c.watchers.join(w)
	case asked > reached:
		w.waitFor(c, asked)
	case asked >= c.log.floor:
		if from := c.log.after(asked); from < c.log.next() {
			w.catchUp(c, from)
		} else {
			c.watchers.join(w)
		}
	default:
		w.fromHistory(c, asked)
	}
	return true
}

// reach waits until the cache has seen a revision that a client asked for, for as long as upstream does.
func (c *Cache) reach(ctx context.Context, revision int64) error {
	if s := c.snapshot.Load(); s != nil && s.revision >= revision {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	err := c.backend.feed.wait(waiting, revision)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return tooLarge(revision, c.backend.feed.revision.Load())
	}
	return err
}

const reachTimeout = 3 * time.Second

func parseRevision(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	revision, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: resourceVersion: Invalid value: %q: %v", s, err))
	}
	return int64(revision), nil
}

// bookmarkItem is an empty object that carries a revision.
func (c *Cache) bookmarkItem(revision int64, initial bool) *Item {
	obj := c.kind.New()
	c.setKind.set(obj)
	obj.SetResourceVersion(formatRevision(revision))
	if initial {
		obj.SetAnnotations(map[string]string{initialEventsEnd: "true"})
	}
	return &Item{Object: obj, Revision: revision}
}

// initialEventsEnd marks the bookmark after the initial events (KEP-3157).
const initialEventsEnd = "k8s.io/initial-events-end"

func (c *Cache) bookmark(revision int64, initial bool) []Event {
	return []Event{{Type: watch.Bookmark, Item: c.bookmarkItem(revision, initial), Initial: initial}}
}
