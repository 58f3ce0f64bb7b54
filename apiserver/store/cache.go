package store

import (
	"context"
	"sync"
	"sync/atomic"

	"k8s.io/klog/v2"

	"github.com/septet-io/septet/resource"
)

// Options describe the store of one kind. Kind, Backend and Codec are needed.
type Options struct {
	Kind    *resource.Kind
	Backend *Backend
	Codec   Codec
	// Transformer encrypts; nil: as it is.
	Transformer Transformer
	// Index names Fields of the Kind by which lists and watches are found without looking at other objects
	// ("spec.nodeName").
	Index []string
}

// New returns the store of a kind. It costs nothing until it is used.
func New(options Options) Store { return newCache(options) }

// Cache is the Store: an ordered tree of the kind's objects, the log of the last changes, and those who watch.
// It fills itself from etcd when it is first used.
type Cache struct {
	kind        *resource.Kind
	backend     *Backend
	codec       Codec
	transformer Transformer
	setKind     kindSetter
	storageKey  string
	// prefix of the kind's keys in etcd: "/registry/pods/".
	prefix string
	fields fieldTable
	index  []resource.KindField
	meter  meter

	// snapshot is what readers see; nil unless the cache is filled. Stored under mu by the feed's goroutine and by fill.
	snapshot atomic.Pointer[snapshot]

	mu       sync.Mutex
	stopped  bool
	retired  bool // watches end as soon as they begin
	filling  *filling
	fillErr  error // of the last attempt, if it failed
	log      changeLog
	watchers subscriptions

	written written
	pages   pages
	// rewinding is held by who reads etcd's history into the log.
	rewinding chan struct{}
}

// snapshot is the state of a kind at one revision. It never changes.
type snapshot struct {
	// revision of the last change; the state stands at least until the feed's revision at the time it was loaded.
	revision int64
	all      tree
	// indexed has a tree for each field of Options.Index, in order of value and key.
	indexed []tree
}

func newCache(o Options) *Cache {
	c := &Cache{
		kind: o.Kind, backend: o.Backend, codec: o.Codec, transformer: o.Transformer,
		setKind:    newKindSetter(o.Kind),
		storageKey: o.Kind.StorageKey,
		prefix:     o.Backend.prefix + o.Kind.StorageKey + "/",
		fields:     newFieldTable(o.Kind),
		meter:      newMeter(o.Kind.GroupResource()),
		rewinding:  make(chan struct{}, 1),
	}
	for _, name := range o.Index {
		c.index = append(c.index, resource.KindField{Name: name, Value: c.fields.value(name)})
	}
	c.watchers.init(len(c.index))
	return c
}

// written holds items whose transaction was answered before its event came, so that they need not be decoded.
type written struct {
	mu    sync.Mutex
	items map[int64]*Item
	// applied is the revision of the last event that was seen.
	applied int64
	// wanted while the cache is filled or being filled: then each event is seen.
	wanted bool
}

// offer gives an item to the feed, unless its event came already.
func (w *written) offer(item *Item) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wanted || w.applied >= item.Revision {
		return false
	}
	if w.items == nil {
		w.items = map[int64]*Item{}
	}
	w.items[item.Revision] = item
	return true
}

// take returns the item that was offered for a revision, nil if there is none.
func (w *written) take(revision int64) *Item {
	w.mu.Lock()
	defer w.mu.Unlock()
	item := w.items[revision]
	if item != nil {
		delete(w.items, revision)
	}
	w.applied = max(w.applied, revision)
	return item
}

func (w *written) open(wanted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.items, w.wanted = nil, wanted
}

// passed drops what was offered for events that never come, since a list showed them.
func (w *written) passed(revision int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applied = max(w.applied, revision)
	for r := range w.items {
		if r <= revision {
			delete(w.items, r)
		}
	}
}

// current returns the snapshot, filling the cache first if need be.
func (c *Cache) current(ctx context.Context) (*snapshot, error) {
	for {
		if s := c.snapshot.Load(); s != nil {
			return s, nil
		}
		if err := c.ensureFilled(ctx); err != nil {
			return nil, err
		}
	}
}

// Progress returns etcd's current revision once the cache has reached it.
func (c *Cache) Progress(ctx context.Context) (int64, error) {
	revision, err := c.progress(ctx)
	return revision, c.status("get", err)
}

func (c *Cache) progress(ctx context.Context) (int64, error) {
	seen := c.backend.feed.revision.Load()
	revision, err := c.backend.revision(ctx)
	if err != nil {
		return 0, err
	}
	// A member in this process sends an event a moment before it counts its revision, and cannot be restored from a backup.
	if _, local := c.backend.client.Watcher.(localWatcher); revision < seen && !local {
		c.backend.feed.historyLost()
	}
	s, err := c.current(ctx)
	if err != nil {
		return 0, err
	}
	if s.revision >= revision {
		return revision, nil
	}
	return revision, c.backend.feed.wait(ctx, revision)
}

// reset empties the cache and ends its watches with an error; the next use fills it anew.
func (c *Cache) reset(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.snapshot.Store(nil)
	c.log = changeLog{}
	c.written.open(false)
	c.pages.clear()
	if c.filling != nil {
		c.filling.abandon(cause)
		c.filling = nil
	}
	c.watchers.endAll(cause)
}

// Ready is nil while nothing stands in the way of reads: before the first use, and once the cache has been filled.
func (c *Cache) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
		return errStopped
	case c.filling != nil:
		return errFilling
	}
	return c.fillErr
}

// Retire ends all watches.
func (c *Cache) Retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = true
	c.watchers.endAll(nil)
}

// Stop ends the cache and all watches.
func (c *Cache) Stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.reset(errStopped)
	// Only now: whoever finds a snapshot relies on it to have all that the feed has passed on.
	c.backend.feed.unregister(c)
}

// broken logs an object that cannot be read and empties the cache: a list without it would be a lie.
func (c *Cache) broken(path string, err error) {
	klog.ErrorS(err, "An object in etcd cannot be read", "key", path)
	c.reset(err)
}
