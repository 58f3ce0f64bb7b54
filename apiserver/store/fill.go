package store

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

var errFilling = apierrors.NewServiceUnavailable("the watch cache is being filled")

// filling is one attempt to fill a cache. Changes that come meanwhile wait in queue.
type filling struct {
	done  chan struct{}
	err   error // valid after done
	queue []*clientv3.Event
}

func (f *filling) abandon(err error) {
	f.err = err
	close(f.done)
}

// ensureFilled starts to fill the cache, or joins an attempt, and waits for its end.
func (c *Cache) ensureFilled(ctx context.Context) error {
	if err := c.backend.feed.start(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	if c.stopped || c.backend.ctx.Err() != nil {
		c.mu.Unlock()
		return errStopped
	}
	if c.snapshot.Load() != nil {
		c.mu.Unlock()
		return nil
	}
	f := c.filling
	if f == nil {
		f = &filling{done: make(chan struct{})}
		c.filling = f
		c.written.open(true)
		// From here on changes go to the queue, so the list below, which is later, misses none.
		c.backend.feed.register(c)
		c.backend.wg.Go(func() { c.fill(f) })
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		if errors.Is(f.err, errRestarted) {
			return nil // the caller looks again and fills it anew
		}
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Cache) fill(f *filling) {
	items, revision, err := c.readAll(c.backend.ctx)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.filling == f {
			c.filling, c.fillErr = nil, err
			f.abandon(err)
		}
		return
	}
	s := c.newSnapshot(items, revision)
	for {
		c.mu.Lock()
		if c.filling != f {
			c.mu.Unlock()
			return
		}
		queue := f.queue
		f.queue = nil
		if len(queue) == 0 {
			c.log.begin(s.revision)
			c.written.passed(s.revision)
			c.snapshot.Store(s)
			c.filling, c.fillErr = nil, nil
			close(f.done)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		changes, err := c.decodeAll(queue, s)
		if err != nil {
			c.broken(c.prefix, err)
			return
		}
		s, _ = c.next(s, changes)
	}
}

const fillPage = 1000

// readAll lists the kind at one revision. Pages are decoded on all processors while the next is read.
func (c *Cache) readAll(ctx context.Context) (items []*Item, revision int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pages := make(chan page)
	go c.readPages(ctx, pages)
	// decoded has the pages in order; its capacity bounds how many are worked on.
	decoded := make(chan chan page, runtime.GOMAXPROCS(0))
	go func() {
		defer close(decoded)
		for p := range pages {
			done := make(chan page, 1)
			select {
			case decoded <- done:
			case <-ctx.Done():
				return
			}
			go func() { done <- c.decodePage(ctx, p) }()
		}
	}()
	for done := range decoded {
		p := <-done
		if p.err != nil {
			return nil, 0, p.err
		}
		items, revision = append(items, p.items...), p.revision
	}
	return items, revision, ctx.Err()
}

// page is a part of a list, as it is read and then decoded.
type page struct {
	kvs      []*mvccpb.KeyValue
	items    []*Item
	revision int64
	err      error
}

func (c *Cache) decodePage(ctx context.Context, p page) page {
	if p.err != nil {
		return p
	}
	p.items = make([]*Item, len(p.kvs))
	for i, kv := range p.kvs {
		if p.items[i], p.err = c.decode(ctx, kv); p.err != nil {
			break
		}
	}
	p.kvs = nil
	return p
}

func (c *Cache) readPages(ctx context.Context, pages chan<- page) {
	defer close(pages)
	from, end := c.prefix, clientv3.GetPrefixRangeEnd(c.prefix)
	var revision int64
	for {
		began := time.Now()
		response, err := c.backend.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(fillPage), clientv3.WithRev(revision))
		c.meter.list.observe(began, err)
		p := page{err: err}
		if err == nil {
			// The first page's revision is that of all.
			if revision == 0 {
				revision = response.Header.Revision
			}
			p = page{kvs: response.Kvs, revision: revision}
		}
		select {
		case pages <- p:
		case <-ctx.Done():
			return
		}
		if err != nil || !response.More {
			return
		}
		from = string(response.Kvs[len(response.Kvs)-1].Key) + "\x00"
	}
}

func (c *Cache) newSnapshot(items []*Item, revision int64) *snapshot {
	s := &snapshot{revision: revision, all: build(byKey, items)}
	for _, field := range c.index {
		s.indexed = append(s.indexed, buildIndex(field, items))
	}
	return s
}

// path is the etcd key of an object.
func (c *Cache) path(key Key) string {
	if key.Namespace == "" {
		return c.prefix + key.Name
	}
	return c.prefix + key.Namespace + "/" + key.Name
}

func (c *Cache) keyOf(path []byte) Key {
	rest := string(path[len(c.prefix):])
	if namespace, name, ok := strings.Cut(rest, "/"); ok {
		return Key{Namespace: namespace, Name: name}
	}
	return Key{Name: rest}
}

// decode makes an item of what lies in etcd.
func (c *Cache) decode(ctx context.Context, kv *mvccpb.KeyValue) (*Item, error) {
	data, generation := kv.Value, c.generation()
	if c.transformer != nil {
		var stale bool
		var err error
		if data, stale, err = c.transformer.FromStorage(ctx, string(kv.Key), data); err != nil {
			return nil, c.unreadable(kv.Key, err)
		}
		if stale {
			generation = 0
		}
	}
	obj, err := c.codec.Decode(data)
	if err != nil {
		return nil, c.unreadable(kv.Key, err)
	}
	intern(obj, nil)
	c.setKind.set(obj)
	obj.SetResourceVersion(formatRevision(kv.ModRevision))
	// The object's own strings serve as key, if they agree with the path.
	key := Key{Namespace: obj.GetNamespace(), Name: obj.GetName()}
	if c.path(key) != string(kv.Key) {
		key = c.keyOf(kv.Key)
	}
	return &Item{Key: key, Object: obj, Revision: kv.ModRevision, sum: sum(data), generation: generation}, nil
}

// generation of the transformer; 1 if it has none. Read it before using the transformer.
func (c *Cache) generation() uint32 {
	if t, ok := c.transformer.(interface{ Generation() uint32 }); ok {
		return t.Generation()
	}
	return 1
}

func (c *Cache) unreadable(path []byte, err error) error {
	return apierrors.NewInternalError(fmt.Errorf("object at etcd key %q cannot be read: %w", path, err))
}

var seed = maphash.MakeSeed()

// sum tells stored forms apart: two of 64 bits agree by chance in practice never, and a change that was taken for
// none is only possible between two states of one object.
func sum(data []byte) uint64 { return maphash.Bytes(seed, data) }
