package store

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/watch"
)

// After a restart clients go on watching from revisions that are older than the cache. What happened since then is still
// in etcd: it is read into the log, once for all of them, instead of making each list everything anew.

// fromHistory lets a watcher begin before the log: the log is made to reach back first. Called with cache.mu held.
func (w *watcher) fromHistory(c *Cache, after int64) {
	c.watchers.catchingUp[w] = struct{}{}
	ctx, cancel := context.WithTimeout(c.backend.ctx, rewindTimeout)
	go func() {
		defer cancel()
		stop := context.AfterFunc(ctx, func() { w.interrupt(nil) })
		from, err := c.rewind(ctx, w, after)
		stop()
		if err != nil {
			w.send(failure(err))
		}
		w.finish(c, err == nil && w.readLog(c, from))
	}()
}

const rewindTimeout = 10 * time.Second

// rewind makes the log reach back to a revision and returns where it begins there. One at a time for each cache.
func (c *Cache) rewind(ctx context.Context, w *watcher, after int64) (from int64, err error) {
	select {
	case c.rewinding <- struct{}{}:
		defer func() { <-c.rewinding }()
	case <-w.interrupted:
		return 0, errStopped
	}
	for {
		c.mu.Lock()
		s, floor, stopped := c.snapshot.Load(), c.log.floor, c.stopped
		if s != nil && after >= floor {
			from = c.log.after(after)
			c.mu.Unlock()
			return from, nil
		}
		c.mu.Unlock()
		if stopped {
			return 0, errStopped
		}
		if s == nil {
			return 0, errRestarted
		}
		changes, err := c.readHistory(ctx, s, after, floor)
		if errors.Is(err, rpctypes.ErrCompacted) || len(changes) > logMax/2 {
			return 0, newExpired("too old resource version: " + formatRevision(after) + " (" + formatRevision(floor) + ")")
		}
		if err != nil {
			return 0, c.status("watch", err)
		}
		c.mu.Lock()
		// Unless the log has been cut or begun anew meanwhile.
		if c.log.floor == floor && c.snapshot.Load() != nil {
			c.log.prepend(changes, after)
		}
		c.mu.Unlock()
	}
}

// readHistory returns the changes after one revision, up to and with another, from etcd. It stops early when they are too many.
func (c *Cache) readHistory(ctx context.Context, s *snapshot, after, upTo int64) ([]change, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := history{cache: c, snapshot: s, last: map[Key]*Item{}}
	stream := c.backend.ownStream(ctx)
	responses := c.backend.client.Watch(stream, c.prefix,
		clientv3.WithPrefix(), clientv3.WithRev(after+1), clientv3.WithPrevKV(), clientv3.WithProgressNotify())
	// The end of the history shows by a later change, or by etcd's word that it has sent all.
	progress := time.NewTicker(firstProgress)
	defer progress.Stop()
	for {
		select {
		case response, ok := <-responses:
			if !ok {
				return nil, context.Cause(ctx)
			}
			if err := response.Err(); err != nil {
				return nil, err
			}
			done, err := h.add(ctx, response.Events, upTo)
			if err != nil || done || response.IsProgressNotify() && response.Header.Revision >= upTo {
				return h.changes, err
			}
		case <-progress.C:
			if err := c.backend.client.RequestProgress(stream); err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// history collects changes, sharing items with the cache and with each other.
type history struct {
	cache    *Cache
	snapshot *snapshot
	last     map[Key]*Item
	changes  []change
}

func (h *history) add(ctx context.Context, events []*clientv3.Event, upTo int64) (done bool, err error) {
	for _, event := range events {
		if event.Kv.ModRevision > upTo || len(h.changes) > logMax/2 {
			return true, nil
		}
		key := h.cache.keyOf(event.Kv.Key)
		old := h.last[key]
		if old == nil && event.PrevKv != nil {
			if old, err = h.cache.decode(ctx, event.PrevKv); err != nil {
				return false, err
			}
		}
		if event.Type == clientv3.EventTypeDelete {
			if old != nil {
				h.changes = append(h.changes, change{Event{Type: watch.Deleted, Item: old.at(event.Kv.ModRevision)}, old})
			}
			delete(h.last, key)
			continue
		}
		item := h.snapshot.all.get(key)
		if item == nil || item.Revision != event.Kv.ModRevision {
			if item, err = h.cache.decode(ctx, event.Kv); err != nil {
				return false, err
			}
		}
		typ := watch.Added
		if old != nil {
			typ = watch.Modified
		}
		h.changes = append(h.changes, change{Event{Type: typ, Item: item}, old})
		h.last[key] = item
	}
	return false, nil
}
