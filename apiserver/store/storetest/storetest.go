package storetest

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// Run runs the whole suite.
func Run(t *testing.T, start Start) {
	tests := []struct {
		name string
		run  func(t *testing.T, start Start)
	}{
		{"WriteAndRead", testWriteAndRead},
		{"Update", testUpdate},
		{"Counters", testCounters},
		{"OldCaches", testOldCaches},
		{"Delete", testDelete},
		{"TTL", testTTL},
		{"ScopesAndForms", testScopesAndForms},
		{"ListSelections", testListSelections},
		{"Pages", testPages},
		{"Revisions", testRevisions},
		{"WatchSelections", testWatchSelections},
		{"WatchFrom", testWatchFrom},
		{"SlowWatcher", testSlowWatcher},
		{"WatchEnds", testWatchEnds},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, start)
		})
	}
}

// patience bounds waits for what must come at once.
const patience = 30 * time.Second

func create(t testing.TB, s store.Store, obj resource.Object) *store.Item {
	t.Helper()
	item, err := s.Create(t.Context(), keyOf(obj), obj, 0)
	if err != nil {
		t.Fatalf("create %v: %v", keyOf(obj), err)
	}
	return item
}

// setValue updates a ConfigMap.
func setValue(t testing.TB, s store.Store, key store.Key, value string) *store.Item {
	t.Helper()
	item, _, err := s.Update(t.Context(), key, nil, false, func(current *store.Item) (resource.Object, time.Duration, error) {
		changed := current.Object.DeepCopyObject().(*corev1.ConfigMap)
		changed.Data = map[string]string{"value": value}
		return changed, 0, nil
	})
	if err != nil {
		t.Fatalf("update %v: %v", key, err)
	}
	return item
}

func remove(t testing.TB, s store.Store, key store.Key) *store.Item {
	t.Helper()
	item, err := s.Delete(t.Context(), key, nil, nil)
	if err != nil {
		t.Fatalf("delete %v: %v", key, err)
	}
	return item
}

// next takes one event from a watch; batches are taken apart.
type reader struct {
	watcher store.Watcher
	batch   []store.Event
}

func (r *reader) next(t testing.TB) store.Event {
	t.Helper()
	for len(r.batch) == 0 {
		select {
		case batch, ok := <-r.watcher.Events():
			if !ok {
				t.Fatal("the watch ended")
			}
			r.batch = batch
		case <-time.After(patience):
			t.Fatal("no event came")
		}
	}
	event := r.batch[0]
	r.batch = r.batch[1:]
	return event
}

func (r *reader) want(t testing.TB, typ watch.EventType, name string, revision int64) store.Event {
	t.Helper()
	event := r.next(t)
	if event.Type != typ || event.Item == nil || event.Item.Key.Name != name || event.Item.Revision != revision {
		t.Fatalf("got %s %+v %v, want %s %s at %d", event.Type, event.Item, event.Err, typ, name, revision)
	}
	if typ != watch.Bookmark && event.Item.Object.GetResourceVersion() != revisionString(revision) {
		t.Fatalf("the object's resourceVersion is %s, want %d", event.Item.Object.GetResourceVersion(), revision)
	}
	return event
}

func startWatch(ctx context.Context, t testing.TB, s store.Store, q store.WatchQuery) *reader {
	t.Helper()
	w, err := s.Watch(ctx, q)
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	t.Cleanup(w.Stop)
	return &reader{watcher: w}
}

func testWriteAndRead(t *testing.T, start Start) {
	maker, client := start(t)
	s := maker(t, ConfigMaps)
	key := store.Key{Namespace: "default", Name: "a"}
	if _, err := s.Get(t.Context(), key, ""); !apierrors.IsNotFound(err) {
		t.Fatalf("get of nothing: %v", err)
	}
	created := create(t, s, ConfigMap("default", "a", "1"))
	if _, err := s.Create(t.Context(), key, ConfigMap("default", "a", "2"), 0); !apierrors.IsAlreadyExists(err) {
		t.Fatalf("second create: %v", err)
	}
	got, err := s.Get(t.Context(), key, "")
	if err != nil || got.Revision != created.Revision || got.Object.(*corev1.ConfigMap).Data["value"] != "1" {
		t.Fatalf("get: %+v, %v", got, err)
	}
	raw, err := client.Get(t.Context(), "/registry/configmaps/default/a")
	if err != nil || len(raw.Kvs) != 1 || string(raw.Kvs[0].Value[:4]) != "k8s\x00" {
		t.Fatalf("etcd has %v, %v", raw, err)
	}
	w := startWatch(t.Context(), t, s, store.WatchQuery{})
	w.want(t, watch.Added, "a", created.Revision)
	changed := setValue(t, s, key, "2")
	w.want(t, watch.Modified, "a", changed.Revision)
	page, err := s.List(t.Context(), store.Query{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Revision != changed.Revision || page.Revision != changed.Revision {
		t.Fatalf("list: %+v, %v", page, err)
	}
	deleted := remove(t, s, key)
	event := w.want(t, watch.Deleted, "a", deleted.Revision)
	if event.Item.Object.(*corev1.ConfigMap).Data["value"] != "2" {
		t.Fatalf("the deleted object shows %v", event.Item.Object)
	}
	if _, err := s.Get(t.Context(), key, ""); !apierrors.IsNotFound(err) {
		t.Fatalf("get of what was deleted: %v", err)
	}
}
