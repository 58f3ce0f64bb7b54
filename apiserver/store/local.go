package store

import (
	"context"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// localWatcher is what the client of a member in the same process offers beyond a Watcher: all changes, straight from the
// database, in calls that must return at once.
type localWatcher interface {
	WatchAll(ctx context.Context, from int64, receive func([]mvccpb.Event)) error
}

// localRevision is what such a client offers besides.
type localRevision interface {
	Revision(ctx context.Context) (int64, error)
}

// watchLocal takes changes as fast as etcd makes them, which keeps etcd from treating the watch as a slow one, and
// applies them in batches: those that came while the last batch was applied.
func (f *feed) watchLocal(ctx context.Context, local localWatcher, from int64) error {
	q := eventQueue{wake: make(chan struct{}, 1), throttle: &f.backend.throttle}
	q.throttle.open(f.revision.Load())
	defer q.throttle.close()
	ended := make(chan error, 1)
	go func() { ended <- local.WatchAll(ctx, from, q.add) }()
	var events []*clientv3.Event
	for {
		select {
		case <-q.wake:
			events = q.take(events[:0])
			f.handle(events)
			clear(events)
		case err := <-ended:
			f.handle(q.take(nil))
			return err
		}
	}
}

// eventQueue grows as needed; its reader is faster than etcd by far.
type eventQueue struct {
	wake     chan struct{}
	throttle *throttle

	mu     sync.Mutex
	events []*clientv3.Event
}

func (q *eventQueue) add(events []mvccpb.Event) {
	q.mu.Lock()
	for i := range events {
		q.events = append(q.events, (*clientv3.Event)(&events[i]))
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	q.throttle.received(events[len(events)-1].Kv.ModRevision)
}

// take moves what is there to a slice.
func (q *eventQueue) take(into []*clientv3.Event) []*clientv3.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	into = append(into, q.events...)
	clear(q.events)
	q.events = q.events[:0]
	return into
}

// throttle bounds how many of our writes etcd has made whose events have not been received yet. etcd buffers 128 events
// for a watch and then reads the database for it, a tenth of a second later; with fewer writes than that on
// their way it never comes to that, however busy the processors are.
type throttle struct {
	mu      sync.Mutex
	active  bool
	seen    int64
	running int
	// made are revisions whose events have not come; waiting are writers to let go on.
	made    []int64
	waiting []chan struct{}
}

const writesUnderway = 100

func (t *throttle) open(revision int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active, t.seen = true, revision
}

// close lets everybody through.
func (t *throttle) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active = false
	t.running -= len(t.made)
	t.made = t.made[:0]
	for _, w := range t.waiting {
		t.running++
		close(w)
	}
	t.waiting = nil
}

// begin waits for a place.
func (t *throttle) begin(ctx context.Context) error {
	t.mu.Lock()
	if !t.active || t.running < writesUnderway {
		t.running++
		t.mu.Unlock()
		return nil
	}
	place := make(chan struct{})
	t.waiting = append(t.waiting, place)
	t.mu.Unlock()
	select {
	case <-place:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, w := range t.waiting {
		if w == place {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			return ctx.Err()
		}
	}
	// It was given a place at the same moment.
	t.release(1)
	return ctx.Err()
}

// end gives the place back: at once if nothing was written (revision 0), else when the event has come.
func (t *throttle) end(revision int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.active && revision > t.seen {
		t.made = append(t.made, revision)
		return
	}
	t.release(1)
}

func (t *throttle) received(revision int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = revision
	left := t.made[:0]
	for _, r := range t.made {
		if r > revision {
			left = append(left, r)
		}
	}
	done := len(t.made) - len(left)
	t.made = left
	t.release(done)
}

// release passes places on to those who wait.
func (t *throttle) release(n int) {
	for ; n > 0 && len(t.waiting) > 0; n-- {
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
	}
	t.running -= n
}
