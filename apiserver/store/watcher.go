package store

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/watch"
)

// watcher is live or catching up. Live, it is a member of a group and gets each batch from the feed's goroutine, which never
// waits for it. If its buffer is full it becomes one that catches up: a goroutine of its own reads the log
// from where it was and sends at the client's pace, until it is live again or the log does not reach back to it any more,
// which ends the watch. So it costs the same few bytes however far behind it is.
//
//	live ──buffer full──▶ catching up ──end of log──▶ live
//	                          └──log lost──▶ ended
type watcher struct {
	cache    *Cache
	selected *selected
	events   chan []Event
	// ended asks for the bookmark that ends the initial events.
	ended bool

	// Guarded by cache.mu.
	group    *group // nil unless live
	groupID  string
	closed   bool
	bookmark *time.Timer
	deadline time.Time

	// interrupted is closed to end a watcher that is catching up; cause is what to tell the client.
	interrupted chan struct{}
	interrupts  sync.Once
	cause       error

	// direct, guarded by cache.mu, is offered events while none are pending: in the channel, or in the hands of its reader.
	direct  Direct
	pending atomic.Int64

	// release undoes the hook on the request's context.
	release func() bool
}

// buffered batches per watcher: bursts beyond go by the log.
const buffered = 8

func newWatcher(c *Cache, s *selected) *watcher {
	return &watcher{cache: c, selected: s, events: make(chan []Event, buffered), interrupted: make(chan struct{})}
}

// Events is closed at the end.
func (w *watcher) Events() <-chan []Event { return w.events }

// Direct is Directed.
func (w *watcher) Direct(d Direct) {
	w.cache.mu.Lock()
	defer w.cache.mu.Unlock()
	w.direct = d
}

// Done is Directed.
func (w *watcher) Done(batches int) { w.pending.Add(int64(-batches)) }

// trySend hands a batch over if there is room; called with cache.mu held.
func (w *watcher) trySend(batch []Event) bool {
	w.pending.Add(1)
	select {
	case w.events <- batch:
		return true
	default:
		w.pending.Add(-1)
		return false
	}
}

// Stop ends the watch. It may be called any number of times.
func (w *watcher) Stop() {
	w.cache.mu.Lock()
	defer w.cache.mu.Unlock()
	if w.group != nil {
		w.cache.watchers.leave(w)
		w.close()
		return
	}
	w.interrupt(nil)
}

// bound ties the watch to its request: its end, and bookmarks before it.
func (w *watcher) bound(ctx context.Context, bookmarks bool) {
	w.cache.mu.Lock()
	defer w.cache.mu.Unlock()
	if w.closed {
		return
	}
	w.release = context.AfterFunc(ctx, w.Stop)
	if bookmarks {
		w.deadline, _ = ctx.Deadline()
		w.bookmark = time.AfterFunc(w.untilBookmark(), w.sendBookmark)
	}
}

// close ends the channel; called with cache.mu held, by whoever may send at that time.
func (w *watcher) close() {
	if w.closed {
		return
	}
	w.closed = true
	if w.bookmark != nil {
		w.bookmark.Stop()
	}
	if w.release != nil {
		w.release()
	}
	close(w.events)
}

// endLive ends a live watcher with an error event, if it has room for one.
func (w *watcher) endLive(cause error) {
	w.group = nil
	if cause != nil {
		w.trySend(failure(cause))
	}
	w.close()
}

// interrupt ends a watcher that is catching up; its goroutine closes it.
func (w *watcher) interrupt(cause error) {
	w.interrupts.Do(func() {
		w.cause = cause
		close(w.interrupted)
	})
}

func failure(err error) []Event { return []Event{{Type: watch.Error, Err: err}} }

// Bookmarks come about once a minute, not all at the same time, and shortly before the request's end.
const (
	bookmarkEvery     = time.Minute
	bookmarkBeforeEnd = 2 * time.Second
)

func (w *watcher) untilBookmark() time.Duration {
	wait := bookmarkEvery - time.Duration(rand.Int64N(int64(bookmarkEvery/4)))
	if w.deadline.IsZero() {
		return wait
	}
	if left := time.Until(w.deadline) - bookmarkBeforeEnd; left > 0 {
		return min(wait, left)
	}
	return wait
}

func (w *watcher) sendBookmark() {
	c := w.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.closed {
		return
	}
	// One that is catching up will hear of newer things anyway.
	if s := c.snapshot.Load(); w.group != nil && s != nil {
		w.trySend(c.bookmark(max(s.revision, c.backend.feed.revision.Load()), false))
	}
	w.bookmark.Reset(w.untilBookmark())
}
