package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/storetest"
)

// occurrence is one change, as etcd itself tells it or as a watch showed it.
type occurrence struct {
	typ      watch.EventType
	key      store.Key
	revision int64
	value    string
}

// watchRecord is what somebody saw who watches a namespace, and resumes on some server whenever a watch ends.
type watchRecord struct {
	namespace string
	mu        sync.Mutex
	seen      []occurrence
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
	r.seen = append(r.seen, occurrence{event.Type, event.Item.Key, event.Item.Revision, event.Item.Object.(*corev1.ConfigMap).Data["value"]})
}

// finish writes a last object in each namespace and waits until every watch has shown it.
func (h *history) finish(ctx context.Context) {
	var last int64
	for _, namespace := range []string{"a", "b"} {
		key := store.Key{Namespace: namespace, Name: "end"}
		for ctx.Err() == nil {
			item, err := h.servers[0].get().Create(ctx, key, storetest.ConfigMap(namespace, "end", ""), 0)
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

// truth is what happened, from etcd's own history.
func (h *history) truth() (all []occurrence) {
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	codec := store.ProtobufCodec(storetest.ConfigMaps)
	const prefix = "/registry/configmaps/"
	last := int64(0)
	state, err := h.raw.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, kv := range state.Kvs {
		last = max(last, kv.ModRevision)
	}
	values := map[store.Key]string{}
	for response := range h.raw.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(1)) {
		if err := response.Err(); err != nil {
			h.t.Fatal(err)
		}
		for _, event := range response.Events {
			namespace, name, _ := strings.Cut(strings.TrimPrefix(string(event.Kv.Key), prefix), "/")
			o := occurrence{key: store.Key{Namespace: namespace, Name: name}, revision: event.Kv.ModRevision}
			before, existed := values[o.key]
			switch {
			case event.Type == clientv3.EventTypeDelete:
				o.typ, o.value = watch.Deleted, before
				delete(values, o.key)
			default:
				object, err := codec.Decode(event.Kv.Value)
				if err != nil {
					h.t.Fatal(err)
				}
				o.typ, o.value = watch.Added, object.(*corev1.ConfigMap).Data["value"]
				if existed {
					o.typ = watch.Modified
				}
				values[o.key] = o.value
			}
			all = append(all, o)
			if o.revision >= last {
				return all
			}
		}
	}
	h.t.Fatal("etcd's own watch ended")
	return nil
}

// judge applies all rules.
func (h *history) judge() {
	h.judgeOperations(h.t)
	truth := h.truth()
	byRevision := map[int64]occurrence{}
	for _, o := range truth {
		byRevision[o.revision] = o
	}
	resumed := 0
	for _, r := range h.watches {
		resumed += r.resumed
		var want []occurrence
		for _, o := range truth {
			if r.namespace == "" || r.namespace == o.key.Namespace {
				want = append(want, o)
			}
		}
		if r.failure != "" {
			h.t.Errorf("seed %d: a watch of %q failed: %s", h.seed, r.namespace, r.failure)
		}
		if difference := firstDifference(r.seen, want); difference != "" {
			h.t.Errorf("seed %d: a watch of %q differs from what happened: %s", h.seed, r.namespace, difference)
		}
	}
	for _, op := range h.operations {
		in, out := op.Input.(input), op.Output.(output)
		if in.verb == "get" || out.revision == 0 {
			continue
		}
		if o, ok := byRevision[out.revision]; !ok || o.key != in.key {
			h.t.Errorf("seed %d: %+v was answered with revision %d, where etcd has %+v", h.seed, in, out.revision, o)
		}
	}
	for _, page := range h.lists {
		h.judgeList(page, truth)
	}
	h.t.Logf("%d operations, %d lists, %d changes, %d watches resumed %d times", len(h.operations), len(h.lists), len(truth), len(h.watches), resumed)
}

func firstDifference(got, want []occurrence) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("missed %+v", want[i])
		case i >= len(want):
			return fmt.Sprintf("too much: %+v", got[i])
		case got[i] != want[i]:
			return fmt.Sprintf("event %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	return ""
}

// judgeList: a list is the state at its revision, all of it.
func (h *history) judgeList(page *store.Page, truth []occurrence) {
	state := map[store.Key]occurrence{}
	for _, o := range truth {
		if o.revision > page.Revision {
			break
		}
		state[o.key] = o
		if o.typ == watch.Deleted {
			delete(state, o.key)
		}
	}
	for _, item := range page.Items {
		if o, ok := state[item.Key]; !ok || o.revision != item.Revision {
			h.t.Errorf("seed %d: a list at %d has %v at %d, then it was %+v", h.seed, page.Revision, item.Key, item.Revision, o)
		}
	}
}
