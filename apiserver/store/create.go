package store

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/resource"
)

// Create adds an object with one transaction and no read.
func (c *Cache) Create(ctx context.Context, key Key, obj resource.Object, ttl time.Duration) (*Item, error) {
	began := time.Now()
	item, err := c.create(ctx, key, obj, ttl)
	if err != nil {
		return nil, c.status("create", err)
	}
	c.note("create", began, item, 0)
	return item, nil
}

func (c *Cache) create(ctx context.Context, key Key, obj resource.Object, ttl time.Duration) (*Item, error) {
	item, value, err := c.encode(ctx, key, obj, nil)
	if err != nil {
		return nil, err
	}
	revision, ok, err := c.put(ctx, key, value, 0, ttl)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, apierrors.NewAlreadyExists(c.kind.GroupResource(), key.Name)
	}
	return c.settle(item, revision), nil
}

// encode makes the item and what is stored of it. The object may share parts with old.
func (c *Cache) encode(ctx context.Context, key Key, obj resource.Object, old *Item) (*Item, []byte, error) {
	if old == nil {
		intern(obj, nil)
	} else {
		intern(obj, old.Object)
	}
	c.setKind.set(obj)
	obj.SetResourceVersion("")
	obj.SetSelfLink("")
	data, err := c.codec.Encode(obj)
	if err != nil {
		return nil, nil, apierrors.NewInternalError(err)
	}
	item := &Item{Key: key, Object: obj, sum: sum(data), generation: c.generation()}
	if c.transformer != nil {
		if data, err = c.transformer.ToStorage(ctx, c.path(key), data); err != nil {
			return nil, nil, apierrors.NewInternalError(err)
		}
	}
	return item, data, nil
}

// put writes if the key is at a revision (0: does not exist). If it is not, ok is false, and revision is one at which that was seen.
func (c *Cache) put(ctx context.Context, key Key, value []byte, at int64, ttl time.Duration) (revision int64, ok bool, err error) {
	t := transaction{path: c.path(key), at: at, value: value}
	if ttl > 0 {
		if t.lease, err = c.backend.leases.get(ctx, ttl); err != nil {
			return 0, false, err
		}
	}
	return c.commit(ctx, &t)
}

func (c *Cache) commit(ctx context.Context, t *transaction) (revision int64, ok bool, err error) {
	if err := c.backend.throttle.begin(ctx); err != nil {
		return 0, false, err
	}
	defer func() {
		if !ok {
			c.backend.throttle.end(0)
		} else {
			c.backend.throttle.end(revision)
		}
	}()
	began := time.Now()
	revision, ok, err = c.backend.transact(ctx, t)
	c.meter.write(t).observe(began, err)
	return revision, ok, err
}

// settle gives an item its revision after its transaction. The item in the cache is the same one wherever possible.
func (c *Cache) settle(item *Item, revision int64) *Item {
	item.Revision = revision
	item.Object.SetResourceVersion(formatRevision(revision))
	if !c.written.offer(item) {
		if s := c.snapshot.Load(); s != nil {
			if cached := s.all.get(item.Key); cached != nil && cached.Revision == revision {
				return cached
			}
		}
	}
	return item
}

// note adds a record of a write to the journal.
func (c *Cache) note(step string, began time.Time, item *Item, saw int64) {
	ring := c.backend.options.Journal
	if ring == nil {
		return
	}
	now := time.Now()
	record := journal.Record{
		Time: now, Component: "etcd", Step: step, Kind: c.kind.GroupVersionKind.Kind,
		Namespace: item.Key.Namespace, Name: item.Key.Name, UID: item.Object.GetUID(),
		Made: item.Object.GetResourceVersion(), Duration: now.Sub(began),
	}
	if saw > 0 {
		record.Saw = formatRevision(saw)
	}
	ring.Note(record)
}
