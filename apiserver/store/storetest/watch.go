package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

func revoke(t testing.TB, client *clientv3.Client, lease int64) error {
	_, err := client.Revoke(t.Context(), clientv3.LeaseID(lease))
	return err
}

func changePod(t testing.TB, s store.Store, key store.Key, change func(*corev1.Pod)) *store.Item {
	t.Helper()
	item, _, err := s.Update(t.Context(), key, nil, false, func(current *store.Item) (resource.Object, time.Duration, error) {
		changed := current.Object.DeepCopyObject().(*corev1.Pod)
		change(changed)
		return changed, 0, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return item
}

// testWatchSelections follows one Pod into and out of many selections.
func testWatchSelections(t *testing.T, start Start) {
	maker, _ := start(t)
	s := maker(t, Pods)
	none := store.WatchQuery{SendInitialEvents: ptr.To(false)}
	with := func(change func(*store.WatchQuery)) *reader {
		q := none
		change(&q)
		return startWatch(t.Context(), t, s, q)
	}
	field := fields.ParseSelectorOrDie
	everything := with(func(q *store.WatchQuery) {})
	red := with(func(q *store.WatchQuery) { q.Labels = selector(t, "color=red") })
	redToo := with(func(q *store.WatchQuery) { q.Labels = selector(t, "color=red") })
	here := with(func(q *store.WatchQuery) { q.Namespace = "here" })
	elsewhere := with(func(q *store.WatchQuery) { q.Namespace = "elsewhere" })
	named := with(func(q *store.WatchQuery) { q.Fields = field("metadata.name=p") })
	node := with(func(q *store.WatchQuery) { q.Fields = field("spec.nodeName=n1") })
	unbound := with(func(q *store.WatchQuery) { q.Fields = field("spec.nodeName=") })
	running := with(func(q *store.WatchQuery) { q.Fields = field("status.phase=Running"); q.Namespace = "here" })
	key := store.Key{Namespace: "here", Name: "p"}

	a := create(t, s, Pod("here", "p", "", map[string]string{"color": "red"})).Revision
	b := changePod(t, s, key, func(p *corev1.Pod) { p.Spec.NodeName = "n1" }).Revision
	c := changePod(t, s, key, func(p *corev1.Pod) { p.Labels["color"] = "blue" }).Revision
	d := changePod(t, s, key, func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }).Revision
	e := changePod(t, s, key, func(p *corev1.Pod) { p.Labels["color"] = "red" }).Revision
	f := remove(t, s, key).Revision
	last := create(t, s, Pod("elsewhere", "q", "n2", nil)).Revision

	for _, r := range []*reader{everything, here, named} {
		r.want(t, watch.Added, "p", a)
		for _, revision := range []int64{b, c, d, e} {
			r.want(t, watch.Modified, "p", revision)
		}
		r.want(t, watch.Deleted, "p", f)
	}
	everything.want(t, watch.Added, "q", last)
	elsewhere.want(t, watch.Added, "q", last)
	for _, r := range []*reader{red, redToo} {
		r.want(t, watch.Added, "p", a)
		r.want(t, watch.Modified, "p", b)
		left := r.want(t, watch.Deleted, "p", c)
		if left.Item.Object.GetLabels()["color"] != "red" {
			t.Errorf("what left shows the state after it left: %v", left.Item.Object.GetLabels())
		}
		r.want(t, watch.Added, "p", e)
		r.want(t, watch.Deleted, "p", f)
	}
	node.want(t, watch.Added, "p", b)
	for _, revision := range []int64{c, d, e} {
		node.want(t, watch.Modified, "p", revision)
	}
	node.want(t, watch.Deleted, "p", f)
	unbound.want(t, watch.Added, "p", a)
	unbound.want(t, watch.Deleted, "p", b)
	running.want(t, watch.Added, "p", d)
	running.want(t, watch.Modified, "p", e)
	running.want(t, watch.Deleted, "p", f)
}

func testWatchFrom(t *testing.T, start Start) {
	maker, client := start(t)
	s := maker(t, ConfigMaps)
	var revisions []int64
	for i := range 5 {
		revisions = append(revisions, create(t, s, ConfigMap("default", fmt.Sprint(i), "")).Revision)
	}
	changed := setValue(t, s, store.Key{Namespace: "default", Name: "1"}, "2").Revision
	gone := remove(t, s, store.Key{Namespace: "default", Name: "0"}).Revision
	// The second server has not seen any of this happen: it must find it in etcd's history.
	for _, server := range []store.Store{s, maker(t, ConfigMaps)} {
		for from := range revisions {
			w := startWatch(t.Context(), t, server, store.WatchQuery{Query: store.Query{ResourceVersion: revisionString(revisions[from])}})
			for i := from + 1; i < len(revisions); i++ {
				w.want(t, watch.Added, fmt.Sprint(i), revisions[i])
			}
			w.want(t, watch.Modified, "1", changed)
			w.want(t, watch.Deleted, "0", gone)
		}
		w := startWatch(t.Context(), t, server, store.WatchQuery{Query: store.Query{ResourceVersion: "0"}})
		for _, name := range []string{"1", "2", "3", "4"} {
			if event := w.next(t); event.Type != watch.Added || event.Item.Key.Name != name {
				t.Fatalf("initial event %+v, want %s", event, name)
			}
		}
		initial := startWatch(t.Context(), t, server, store.WatchQuery{SendInitialEvents: ptr.To(true), Bookmarks: true,
			Query: store.Query{Labels: selector(t, "a=b")}})
		mark := initial.next(t)
		if mark.Type != watch.Bookmark || !mark.Initial || mark.Item.Revision < gone ||
			mark.Item.Object.GetAnnotations()["k8s.io/initial-events-end"] != "true" {
			t.Fatalf("end of the initial events: %+v", mark)
		}
	}
	// A revision that is not there yet: nothing up to it is sent.
	w := startWatch(t.Context(), t, s, store.WatchQuery{Query: store.Query{ResourceVersion: revisionString(gone + 1)}})
	create(t, s, ConfigMap("default", "skipped", ""))
	seen := create(t, s, ConfigMap("default", "seen", "")).Revision
	w.want(t, watch.Added, "seen", seen)

	if _, err := client.Compact(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	expired := startWatch(t.Context(), t, maker(t, ConfigMaps), store.WatchQuery{Query: store.Query{ResourceVersion: revisionString(revisions[0])}})
	if event := expired.next(t); event.Type != watch.Error || !apierrors.IsResourceExpired(event.Err) {
		t.Fatalf("a watch from a compacted revision got %+v", event)
	}
}

// testSlowWatcher: one that does not read holds nobody up, and does not see a gap.
func testSlowWatcher(t *testing.T, start Start) {
	maker, _ := start(t)
	s := maker(t, ConfigMaps)
	slow := startWatch(t.Context(), t, s, store.WatchQuery{SendInitialEvents: ptr.To(false)})
	filtered := startWatch(t.Context(), t, s, store.WatchQuery{SendInitialEvents: ptr.To(false), Query: store.Query{Namespace: "default"}})
	const changes = 200
	var revisions []int64
	for i := range changes {
		fast := startWatch(t.Context(), t, s, store.WatchQuery{SendInitialEvents: ptr.To(false)})
		revisions = append(revisions, create(t, s, ConfigMap("default", fmt.Sprint(i), "")).Revision)
		fast.want(t, watch.Added, fmt.Sprint(i), revisions[i])
		fast.watcher.Stop()
	}
	for i, revision := range revisions {
		slow.want(t, watch.Added, fmt.Sprint(i), revision)
		filtered.want(t, watch.Added, fmt.Sprint(i), revision)
	}
	more := create(t, s, ConfigMap("default", "more", "")).Revision
	slow.want(t, watch.Added, "more", more)
	filtered.want(t, watch.Added, "more", more)
}

func testWatchEnds(t *testing.T, start Start) {
	maker, _ := start(t)
	s := maker(t, ConfigMaps)
	closed := func(what string, w store.Watcher) {
		t.Helper()
		for {
			select {
			case _, ok := <-w.Events():
				if !ok {
					return
				}
			case <-time.After(patience):
				t.Fatalf("%s: the watch did not end", what)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	byContext := startWatch(ctx, t, s, store.WatchQuery{})
	cancel()
	closed("context", byContext.watcher)
	future := store.WatchQuery{Query: store.Query{ResourceVersion: "1000000"}}
	byStop, waiting := startWatch(t.Context(), t, s, store.WatchQuery{}), startWatch(t.Context(), t, s, future)
	byStop.watcher.Stop()
	byStop.watcher.Stop()
	closed("stop", byStop.watcher)
	waiting.watcher.Stop()
	closed("stop while waiting", waiting.watcher)
	soon, cancelSoon := context.WithTimeout(t.Context(), 2300*time.Millisecond)
	defer cancelSoon()
	marked := startWatch(soon, t, s, store.WatchQuery{Bookmarks: true})
	if event := marked.next(t); event.Type != watch.Bookmark || event.Initial {
		t.Fatalf("before the deadline came %+v", event)
	}
	byServer := startWatch(t.Context(), t, s, store.WatchQuery{})
	s.Stop()
	closed("server", byServer.watcher)
	if _, err := s.List(t.Context(), store.Query{}); !apierrors.IsServiceUnavailable(err) {
		t.Fatalf("list after stop: %v", err)
	}
}
