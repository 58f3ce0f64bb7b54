package store

import (
	"bytes"
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Update replaces the object by what change returns. The first attempt works on what the cache has; if that turns out
// not to be the latest, whatever came of it is forgotten and the next attempt waits for the latest.
func (c *Cache) Update(ctx context.Context, key Key, pre *Preconditions, orCreate bool, change Change) (*Item, bool, error) {
	began := time.Now()
	item, saw, changed, err := c.update(ctx, key, pre, orCreate, change)
	if err != nil {
		return nil, false, c.status("update", err)
	}
	if changed {
		c.note("update", began, item, saw)
	}
	return item, changed, nil
}

func (c *Cache) update(ctx context.Context, key Key, pre *Preconditions, orCreate bool, change Change) (_ *Item, saw int64, changed bool, _ error) {
	latest := latest{cache: c}
	for {
		old, err := latest.get(ctx, key)
		if err != nil {
			return nil, 0, false, err
		}
		item, value, ttl, err := c.changed(ctx, key, old, pre, orCreate, change)
		if (err != nil || value == nil) && !latest.sure {
			again, stale := latest.verify(ctx)
			if stale != nil {
				return nil, 0, false, stale
			}
			if again {
				continue
			}
		}
		if err != nil || value == nil {
			return item, 0, false, err
		}
		if old != nil {
			saw = old.Revision
		}
		revision, ok, err := c.put(ctx, key, value, saw, ttl)
		if err != nil {
			return nil, 0, false, err
		}
		if ok {
			return c.settle(item, revision), saw, true, nil
		}
		if err := latest.lost(ctx, revision); err != nil {
			return nil, 0, false, err
		}
	}
}

// changed computes the new state; value is nil if it is the old one.
func (c *Cache) changed(ctx context.Context, key Key, old *Item, pre *Preconditions, orCreate bool, change Change) (*Item, []byte, time.Duration, error) {
	if old == nil && !orCreate {
		return nil, nil, 0, apierrors.NewNotFound(c.kind.GroupResource(), key.Name)
	}
	if err := c.check(key, old, pre); err != nil {
		return nil, nil, 0, err
	}
	obj, ttl, err := change(old)
	if err != nil {
		return nil, nil, 0, err
	}
	item, value, err := c.encode(ctx, key, obj, old)
	if err != nil {
		return nil, nil, 0, err
	}
	if old != nil && old.generation == item.generation && item.sum == old.sum && c.same(item, old) {
		return old, nil, 0, nil
	}
	return item, value, ttl, nil
}

// same makes sure of what equal sums tell: nearly always true.
func (c *Cache) same(item, old *Item) bool {
	before := shallow(old.Object)
	before.SetResourceVersion("")
	a, errA := c.codec.Encode(before)
	b, errB := c.codec.Encode(item.Object)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func (c *Cache) check(key Key, item *Item, pre *Preconditions) error {
	if pre == nil {
		return nil
	}
	if item == nil {
		return apierrors.NewNotFound(c.kind.GroupResource(), key.Name)
	}
	if uid := item.Object.GetUID(); pre.UID != nil && *pre.UID != uid {
		return conflict(c.kind.GroupResource(), key.Name,
			"Precondition failed: UID in precondition: %v, UID in object meta: %v", *pre.UID, uid)
	}
	if version := item.Object.GetResourceVersion(); pre.ResourceVersion != nil && *pre.ResourceVersion != version {
		return conflict(c.kind.GroupResource(), key.Name,
			"Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v", *pre.ResourceVersion, version)
	}
	return nil
}

// latest reads one object for a write: first what is at hand, then, if that was not the latest, what is.
type latest struct {
	cache *Cache
	// sure that what get returned was the state at some moment since the write began.
	sure bool
	seen *Item
	key  Key
}

func (l *latest) get(ctx context.Context, key Key) (*Item, error) {
	s, err := l.cache.current(ctx)
	if err != nil {
		return nil, err
	}
	l.key, l.seen = key, s.all.get(key)
	return l.seen, nil
}

// verify waits for the present revision and tells whether the object is another one than seen.
func (l *latest) verify(ctx context.Context) (again bool, err error) {
	if _, err := l.cache.progress(ctx); err != nil {
		return false, err
	}
	l.sure = true
	s, err := l.cache.current(ctx)
	if err != nil {
		return false, err
	}
	return s.all.get(l.key) != l.seen, nil
}

// lost waits for the revision at which etcd refused a write.
func (l *latest) lost(ctx context.Context, revision int64) error {
	l.sure = true
	return l.cache.backend.feed.wait(ctx, revision)
}

// Delete removes the object if check agrees.
func (c *Cache) Delete(ctx context.Context, key Key, pre *Preconditions, check func(*Item) error) (*Item, error) {
	began := time.Now()
	item, saw, err := c.delete(ctx, key, pre, check)
	if err != nil {
		return nil, c.status("delete", err)
	}
	c.note("delete", began, item, saw)
	return item, nil
}

func (c *Cache) delete(ctx context.Context, key Key, pre *Preconditions, check func(*Item) error) (*Item, int64, error) {
	latest := latest{cache: c}
	for {
		old, err := latest.get(ctx, key)
		if err != nil {
			return nil, 0, err
		}
		if old == nil {
			err = apierrors.NewNotFound(c.kind.GroupResource(), key.Name)
		} else if err = c.check(key, old, pre); err == nil && check != nil {
			err = check(old)
		}
		if err != nil && !latest.sure {
			again, stale := latest.verify(ctx)
			if stale != nil {
				return nil, 0, stale
			}
			if again {
				continue
			}
		}
		if err != nil {
			return nil, 0, err
		}
		path := c.path(key)
		revision, ok, err := c.commit(ctx, &transaction{path: path, at: old.Revision})
		if err != nil {
			return nil, 0, err
		}
		if ok {
			return old.at(revision), old.Revision, nil
		}
		if err := latest.lost(ctx, revision); err != nil {
			return nil, 0, err
		}
	}
}
