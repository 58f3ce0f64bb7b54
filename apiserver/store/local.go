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

// watchLocal takes changes as fast as etcd makes them, which keeps etcd from treating the watch as a slow one, and
// applies them in batches: those that came while the last batch was applied.
func (f *feed) watchLocal(ctx context.Context, local localWatcher, from int64) error {
	q := eventQueue{wake: make(chan struct{}, 1)}
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
	wake chan struct{}

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
