package store_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/storetest"
	"github.com/septet-io/septet/apiserver/store/storetest/history"
)

// watchRecord is what somebody saw who watches a namespace, and resumes on some server whenever a watch ends.
type watchRecord struct {
	namespace string
	mu        sync.Mutex
	seen      []history.Event
	reached   atomic.Int64
	resumed   int
	failure   string
}

func (r *watchRecord) follow(ctx context.Context, servers []*restartable, random *rand.Rand) {
	// Begin before everything, so that the whole history must come.
	r.reached.Store(1)
	for ctx.Err() == nil {
		s := servers[random.IntN(len(servers))].get()
		w, err := s.Watch(ctx, store.WatchQuery{SendInitialEvents: ptr.To(false), Bookmarks: true,
			Query: store.Query{Namespace: r.namespace, ResourceVersion: strconv.FormatInt(r.reached.Load(), 10)}})
		if err != nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		r.resumed++
		r.read(ctx, w, 1+random.IntN(30))
		w.Stop()
	}
}

// read takes some events, then leaves in order to resume elsewhere.
func (r *watchRecord) read(ctx context.Context, w store.Watcher, most int) {
	for most > 0 {
		select {
		case batch, ok := <-w.Events():
			if !ok {
				return
			}
			for i, event := range batch {
				if event.Type == watch.Error {
					// A server that stops says so; anything else would be a lost history.
					if !strings.Contains(event.Err.Error(), "shutting down") {
						r.failure = event.Err.Error()
					}
					return
				}
				// Resuming is only possible between revisions.
				if most--; most <= 0 && i > 0 && event.Item.Revision != batch[i-1].Item.Revision {
					return
				}
				r.add(event)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (r *watchRecord) add(event store.Event) {
	r.reached.Store(event.Item.Revision)
	if event.Type == watch.Bookmark {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, history.Event{Type: event.Type, Key: event.Item.Key, Revision: event.Item.Revision,
		Value: event.Item.Object.(*corev1.ConfigMap).Data["value"]})
}

// finish writes a last object in each namespace and waits until every watch has shown it.
func (h *run) finish(ctx context.Context) {
	var last int64
	for _, namespace := range []string{"a", "b"} {
		key := store.Key{Namespace: namespace, Name: history.Last}
		for ctx.Err() == nil {
			item, err := h.servers[0].get().Create(ctx, key, storetest.ConfigMap(namespace, history.Last, ""), 0)
			if err == nil {
				last = item.Revision
				break
			}
			if got, err := h.servers[0].get().Get(ctx, key, ""); err == nil {
				last = got.Revision
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		for _, r := range h.watches {
			for (r.namespace == "" || r.namespace == namespace) && r.reached.Load() < last {
				if ctx.Err() != nil {
					h.t.Fatalf("seed %d: a watch of %q stands still at %d before %d (%s)", h.seed, r.namespace, r.reached.Load(), last, r.failure)
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
}

// judge applies all rules.
func (h *run) judge() {
	history.Linearizable(h.t, h.operations)
	truth := history.Truth(h.t, h.raw)
	byRevision := map[int64]history.Event{}
	for _, o := range truth {
		byRevision[o.Revision] = o
	}
	resumed := 0
	for _, r := range h.watches {
		resumed += r.resumed
		if r.failure != "" {
			h.t.Errorf("a watch of %q failed: %s", r.namespace, r.failure)
		}
		history.Watched(h.t, r.namespace, r.seen, truth)
	}
	for _, op := range h.operations {
		history.Answered(h.t, op.Input.(history.Input), op.Output.(history.Output), byRevision)
	}
	for _, list := range h.lists {
		items := map[store.Key]int64{}
		for _, item := range list.page.Items {
			items[item.Key] = item.Revision
		}
		history.Listed(h.t, list.namespace, list.page.Revision, items, truth)
	}
	if h.t.Failed() {
		h.t.Logf("seed %d", h.seed)
	}
	h.t.Logf("%d operations, %d lists, %d changes, %d watches resumed %d times", len(h.operations), len(h.lists), len(truth), len(h.watches), resumed)
}
