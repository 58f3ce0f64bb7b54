package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
	"k8s.io/klog/v2"
)

// feed is the one watch on etcd, and the only source of order: a single goroutine hands each change to the cache of its
// kind, then moves revision on. Who has seen revision R here has every kind's changes up to R in its cache.
type feed struct {
	backend *Backend
	// revision up to which everything has been applied; 0 before the start.
	revision atomic.Int64
	// caches by storage key ("pods", "services/specs"); copied on change.
	caches atomic.Pointer[map[string][]*Cache]

	mu      sync.Mutex
	started chan struct{} // closed when running; nil before the first use
	err     error         // why the start failed
	waiters map[*waiter]struct{}
	// nearest is the lowest revision that a waiter wants, so that the goroutine need not look at all of them.
	nearest atomic.Int64
	stop    context.CancelFunc // of the current etcd watch
	stream  context.Context    // of a remote etcd watch, which progress is asked for
	lost    atomic.Bool
}

type waiter struct {
	revision int64
	reached  chan struct{}
}

const noRevision = int64(1) << 62

func newFeed(b *Backend) *feed {
	f := &feed{backend: b, waiters: map[*waiter]struct{}{}}
	f.caches.Store(&map[string][]*Cache{})
	f.nearest.Store(noRevision)
	return f
}

// register adds a cache: from now on changes of its kind are handed to it. A kind may have several caches for a
// while, when a custom resource's definition changes.
func (f *feed) register(c *Cache) {
	f.mu.Lock()
	defer f.mu.Unlock()
	same := (*f.caches.Load())[c.storageKey]
	if !slices.Contains(same, c) {
		f.replace(c.storageKey, append(slices.Clone(same), c))
	}
}

func (f *feed) unregister(c *Cache) {
	f.mu.Lock()
	defer f.mu.Unlock()
	same := slices.Clone((*f.caches.Load())[c.storageKey])
	f.replace(c.storageKey, slices.DeleteFunc(same, func(other *Cache) bool { return other == c }))
}

func (f *feed) replace(storageKey string, same []*Cache) {
	caches := maps.Clone(*f.caches.Load())
	if len(same) == 0 {
		delete(caches, storageKey)
	} else {
		caches[storageKey] = same
	}
	f.caches.Store(&caches)
}

// start begins to watch at the current revision, once; a failed start is tried again by the next caller.
func (f *feed) start(ctx context.Context) error {
	f.mu.Lock()
	started := f.started
	if started == nil {
		started = make(chan struct{})
		f.started = started
		f.backend.wg.Go(func() { f.begin(started) })
	}
	f.mu.Unlock()
	select {
	case <-started:
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *feed) begin(started chan struct{}) {
	ctx, cancel := context.WithTimeout(f.backend.ctx, revisionTimeout)
	revision, err := f.backend.revision(ctx)
	cancel()
	f.mu.Lock()
	f.err = err
	if err != nil {
		f.started = nil
	}
	f.mu.Unlock()
	if err == nil {
		f.revision.Store(revision)
	}
	close(started)
	if err == nil {
		f.run()
	}
}

// run watches until the Backend stops, again and again if etcd ends the watch.
func (f *feed) run() {
	const pause = 100 * time.Millisecond
	for f.backend.ctx.Err() == nil {
		err := f.watch()
		if f.backend.ctx.Err() != nil {
			return
		}
		if errors.Is(err, rpctypes.ErrCompacted) || f.lost.Swap(false) {
			klog.ErrorS(err, "Missed a part of etcd's history; caches are filled anew")
			if f.startOver() {
				continue
			}
			f.lost.Store(true)
		}
		klog.V(2).InfoS("Watch on etcd ended, resuming", "revision", f.revision.Load(), "err", err)
		select {
		case <-time.After(pause):
		case <-f.backend.ctx.Done():
		}
	}
}

// historyLost is called when a linearizable read shows etcd older than what was seen of it before, as after a restore
// from a backup: nothing in the caches can be trusted then.
func (f *feed) historyLost() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop != nil && !f.lost.Swap(true) {
		f.stop()
	}
}

// watch follows etcd until the watch ends. It begins with the last revision once more, which is dropped: etcd tells no
// progress of a watch that begins in the future.
func (f *feed) watch() error {
	ctx, cancel := context.WithCancel(f.backend.ctx)
	defer cancel()
	f.mu.Lock()
	f.stop = cancel
	f.mu.Unlock()
	from := f.revision.Load()
	if local, ok := f.backend.client.Watcher.(localWatcher); ok {
		return f.watchLocal(ctx, local, from)
	}
	options := []clientv3.OpOption{clientv3.WithRev(from), clientv3.WithProgressNotify()}
	key := f.backend.prefix
	if f.backend.options.Dedicated {
		key = "\x00"
		options = append(options, clientv3.WithFromKey())
	} else {
		options = append(options, clientv3.WithPrefix())
	}
	ctx = f.backend.ownStream(ctx)
	f.mu.Lock()
	f.stream = ctx
	f.mu.Unlock()
	for response := range f.backend.client.Watch(ctx, key, options...) {
		if err := response.Err(); err != nil {
			return err
		}
		if response.IsProgressNotify() {
			// Only this says that all up to its revision has been sent.
			f.advance(response.Header.Revision)
		}
		f.handle(response.Events)
	}
	return ctx.Err()
}

// ownStream makes a watch with this context use a connection's stream alone. Word of progress goes to all watches of a
// stream, and may overtake the birth of one: that would believe to have seen everything, having seen nothing. It also ends a watch on a
// member that is cut off from its cluster, which would leave us with an old picture.
func (b *Backend) ownStream(ctx context.Context) context.Context {
	ctx = metadata.AppendToOutgoingContext(ctx, "watch-stream", strconv.FormatInt(b.streams.Add(1), 10)+"-"+b.id)
	return clientv3.WithRequireLeader(ctx)
}

// handle applies changes in order, whole revisions, then tells those who wait.
func (f *feed) handle(events []*clientv3.Event) {
	seen := f.revision.Load()
	for len(events) > 0 && events[0].Kv.ModRevision <= seen {
		events = events[1:]
	}
	if len(events) == 0 {
		return
	}
	f.dispatch(events)
	f.advance(events[len(events)-1].Kv.ModRevision)
}

// dispatch hands runs of events of one kind to its cache.
func (f *feed) dispatch(events []*clientv3.Event) {
	for len(events) > 0 {
		prefix, caches := f.cachesOf(events[0].Kv.Key)
		n := 1
		for n < len(events) && prefix != "" && strings.HasPrefix(string(events[n].Kv.Key), prefix) {
			n++
		}
		for _, cache := range caches {
			cache.receive(events[:n])
		}
		events = events[n:]
	}
}

// cachesOf finds the caches whose storage key begins the path below the prefix.
func (f *feed) cachesOf(path []byte) (prefix string, caches []*Cache) {
	rest, ok := strings.CutPrefix(string(path), f.backend.prefix)
	if !ok {
		return "", nil
	}
	table := *f.caches.Load()
	for end, c := range rest {
		if c != '/' {
			continue
		}
		if caches := table[rest[:end]]; caches != nil {
			return f.backend.prefix + rest[:end+1], caches
		}
	}
	return "", nil
}

// advance publishes the revision and wakes its waiters.
func (f *feed) advance(revision int64) {
	if revision <= f.revision.Load() {
		return
	}
	f.revision.Store(revision)
	if revision < f.nearest.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	nearest := noRevision
	for w := range f.waiters {
		if w.revision <= revision {
			close(w.reached)
			delete(f.waiters, w)
		} else {
			nearest = min(nearest, w.revision)
		}
	}
	f.nearest.Store(nearest)
}

// How long to wait for a revision to come by itself before asking etcd whether it was somebody else's key.
const (
	firstProgress = 10 * time.Millisecond
	nextProgress  = 100 * time.Millisecond
)

// wait returns when everything up to a revision has been applied.
func (f *feed) wait(ctx context.Context, revision int64) error {
	if f.revision.Load() >= revision {
		return nil
	}
	w := &waiter{revision: revision, reached: make(chan struct{})}
	f.mu.Lock()
	f.waiters[w] = struct{}{}
	f.nearest.Store(min(f.nearest.Load(), revision))
	f.mu.Unlock()
	// The revision may have been reached between the look and the registration.
	if f.revision.Load() >= revision {
		f.forget(w)
		return nil
	}
	timer := time.NewTimer(firstProgress)
	defer timer.Stop()
	for {
		select {
		case <-w.reached:
			return nil
		case <-ctx.Done():
			f.forget(w)
			return ctx.Err()
		case <-f.backend.ctx.Done():
			f.forget(w)
			return errStopped
		case <-timer.C:
			f.requestProgress()
			timer.Reset(nextProgress)
		}
	}
}

func (f *feed) forget(w *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiters, w)
}

// requestProgress asks the member that sends us changes how far it has come. A member in this process needs no asking.
func (f *feed) requestProgress() {
	f.mu.Lock()
	stream := f.stream
	f.mu.Unlock()
	if stream == nil {
		return
	}
	if err := f.backend.client.RequestProgress(stream); err != nil && stream.Err() == nil {
		klog.V(2).InfoS("Asking etcd for the progress of its watch failed", "err", err)
	}
}

// startOver makes all caches fill themselves anew from the current revision.
func (f *feed) startOver() bool {
	ctx, cancel := context.WithTimeout(f.backend.ctx, revisionTimeout)
	defer cancel()
	revision, err := f.backend.revision(ctx)
	if err != nil {
		return false
	}
	for _, caches := range *f.caches.Load() {
		for _, cache := range caches {
			cache.reset(errRestarted)
		}
	}
	f.revision.Store(revision)
	return true
}
