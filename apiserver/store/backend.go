package store

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/septet-io/septet/journal"
)

// Backend is one etcd cluster as the stores of all kinds share it: one watch over everything, so that to have seen revision R
// of it means the same for all kinds; leases; compaction.
type Backend struct {
	options   BackendOptions
	client    *clientv3.Client
	prefix    string
	feed      *feed
	leases    leases
	revisions revisions
	throttle  throttle

	// id and streams name streams of watches apart, among all backends on a client.
	id      string
	streams atomic.Int64

	// compacted is the oldest revision that etcd still has, as far as is known here.
	compacted atomic.Int64

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// BackendOptions say how to reach etcd. Only Client is needed.
type BackendOptions struct {
	// Client is in-process or remote. The Backend does not close it.
	Client *clientv3.Client
	// Prefix of all keys; "/registry" if empty.
	Prefix string
	// Revision, if given, returns etcd's current revision, linearizable, more cheaply than a read through Client. The client
	// of a member in the same process brings it along.
	Revision func(context.Context) (int64, error)
	// Dedicated says that nobody else keeps many keys in this etcd. Then all of it is watched, and every revision is noticed at once.
	Dedicated bool
	// CompactEvery is how much history is kept, at least; 5 minutes if zero, negative: never compact. Several servers on
	// one etcd agree on who does it, upstream's too.
	CompactEvery time.Duration
	// LeaseReuse is how long objects with a life span (Events) may share a lease of etcd; DefaultLeaseReuse if zero.
	LeaseReuse time.Duration
	// Journal, if given, gets a record of each write.
	Journal *journal.Ring
}

var backends atomic.Int64

// DefaultCompactEvery is upstream's --etcd-compaction-interval.
const DefaultCompactEvery = 5 * time.Minute

// Connect makes a Backend. Nothing is asked of etcd before the first store is used.
func Connect(options BackendOptions) *Backend {
	if options.Prefix == "" {
		options.Prefix = "/registry"
	}
	if options.CompactEvery == 0 {
		options.CompactEvery = DefaultCompactEvery
	}
	if options.LeaseReuse == 0 {
		options.LeaseReuse = DefaultLeaseReuse
	}
	b := &Backend{options: options, client: options.Client, prefix: "/" + strings.Trim(options.Prefix, "/") + "/"}
	b.id = strconv.FormatInt(backends.Add(1), 10)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.feed = newFeed(b)
	b.leases.backend = b
	if local, ok := options.Client.Watcher.(localRevision); ok && options.Revision == nil {
		b.options.Revision = local.Revision
	}
	b.revisions.read = b.readRevision
	if options.CompactEvery > 0 {
		b.wg.Go(b.compact)
	}
	return b
}

// Stop ends the watch and waits for it. Stores of this Backend answer ServiceUnavailable afterwards.
func (b *Backend) Stop() {
	b.cancel()
	b.wg.Wait()
}

// Health is nil if etcd answers a linearizable read, as a check for /readyz.
func (b *Backend) Health(ctx context.Context) error {
	_, err := b.revision(ctx)
	return err
}

// revision is etcd's current one, at or after the time of the call.
func (b *Backend) revision(ctx context.Context) (int64, error) {
	if b.options.Revision != nil {
		return b.options.Revision(ctx)
	}
	return b.revisions.get(ctx)
}

// readRevision reads a key that does not exist, for the header.
func (b *Backend) readRevision(ctx context.Context) (int64, error) {
	response, err := b.client.Get(ctx, b.prefix+"health", clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return response.Header.Revision, nil
}

// revisions joins callers: each gets the result of a read that began after it asked, and at most one read runs.
type revisions struct {
	read    func(context.Context) (int64, error)
	mu      sync.Mutex
	running bool
	waiting *revisionRead
}

type revisionRead struct {
	done     chan struct{}
	revision int64
	err      error
}

const revisionTimeout = 10 * time.Second

func (r *revisions) get(ctx context.Context) (int64, error) {
	r.mu.Lock()
	if r.waiting == nil {
		r.waiting = &revisionRead{done: make(chan struct{})}
	}
	mine := r.waiting
	if !r.running {
		r.running = true
		go r.run()
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.revision, mine.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// run reads for those who wait until nobody does.
func (r *revisions) run() {
	for {
		r.mu.Lock()
		batch := r.waiting
		r.waiting = nil
		if batch == nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), revisionTimeout)
		batch.revision, batch.err = r.read(ctx)
		cancel()
		close(batch.done)
	}
}
