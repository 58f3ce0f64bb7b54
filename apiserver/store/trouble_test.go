package store_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/storetest"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/journal"
)

func configMaps(t *testing.T, options store.BackendOptions) store.Store {
	t.Helper()
	backend := store.Connect(options)
	t.Cleanup(backend.Stop)
	return store.New(storetest.OptionsFor(storetest.ConfigMaps, backend))
}

// TestRefusals: what etcd refuses comes out as the Status that a client expects, locally and remotely.
func TestRefusals(t *testing.T) {
	t.Parallel()
	member := startEtcd(t, etcd.Config{QuotaBytes: 16 << 20, ListenClient: []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}})
	remote, err := store.Dial(store.Remote{Endpoints: member.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remote.Close() })
	large, big := strings.Repeat("x", 5<<20), strings.Repeat("x", 1<<20)
	stores := map[string]store.Store{
		"local":  configMaps(t, store.BackendOptions{Client: member.Client(), Revision: member.Revision}),
		"remote": configMaps(t, store.BackendOptions{Client: remote}),
	}
	for name, s := range stores {
		key := store.Key{Namespace: "default", Name: name}
		if _, err := s.Create(t.Context(), key, storetest.ConfigMap("default", name, large), 0); !apierrors.IsRequestEntityTooLargeError(err) {
			t.Errorf("%s: 5 MB: %.200v", name, err)
		}
	}
	for n := 0; ; n++ {
		key := store.Key{Namespace: "default", Name: fmt.Sprint(n)}
		_, err := stores["local"].Create(t.Context(), key, storetest.ConfigMap("default", key.Name, big), 0)
		if err == nil && n < 100 {
			continue
		}
		if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "database space exceeded") {
			t.Errorf("at the quota: %.200v", err)
		}
		break
	}
	if _, err := stores["remote"].Create(t.Context(), store.Key{Name: "y", Namespace: "default"}, storetest.ConfigMap("default", "y", ""), 0); !apierrors.IsInternalError(err) ||
		!strings.Contains(err.Error(), "database space exceeded") {
		t.Errorf("remote, at the quota: %v", err)
	}
	if err := member.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "quota") {
		t.Errorf("health: %v", err)
	}
	// What is there can still be read and deleted.
	if _, err := stores["local"].Delete(t.Context(), store.Key{Namespace: "default", Name: "0"}, nil, nil); err != nil {
		t.Error(err)
	}
}

// TestAWatcherThatNeverReadsIsEnded when the log has moved on past it; others are not held up.
func TestAWatcherThatNeverReadsIsEnded(t *testing.T) {
	t.Parallel()
	member := startEtcd(t, etcd.Config{})
	ring := journal.New(16)
	s := configMaps(t, store.BackendOptions{Client: member.Client(), Revision: member.Revision, Journal: ring})
	w, err := s.Watch(t.Context(), store.WatchQuery{SendInitialEvents: ptr.To(false)})
	if err != nil {
		t.Fatal(err)
	}
	const changes = 9000
	done := make(chan struct{})
	for worker := range 10 {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := worker; n < changes; n += 10 {
				key := store.Key{Namespace: "default", Name: fmt.Sprint(n)}
				if _, err := s.Create(t.Context(), key, storetest.ConfigMap("default", key.Name, ""), 0); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	for range 10 {
		<-done
	}
	seen := 0
	for batch := range w.Events() {
		seen += len(batch)
	}
	if seen == 0 || seen >= changes {
		t.Errorf("saw %d of %d changes before the end", seen, changes)
	}
	if records := ring.Select(nil); len(records) != 16 || records[15].Step != "create" || records[15].Made == "" {
		t.Errorf("journal: %+v", records)
	}
}

// TestBrokenData: an object that cannot be read makes reads of its kind fail, loudly, until it is mended; other kinds go on.
func TestBrokenData(t *testing.T) {
	t.Parallel()
	member := startEtcd(t, etcd.Config{})
	s := configMaps(t, store.BackendOptions{Client: member.Client(), Revision: member.Revision})
	if _, err := s.Create(t.Context(), store.Key{Namespace: "default", Name: "good"}, storetest.ConfigMap("default", "good", ""), 0); err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(t.Context(), store.WatchQuery{SendInitialEvents: ptr.To(false)})
	if err != nil {
		t.Fatal(err)
	}
	const bad = "/registry/configmaps/default/bad"
	if _, err := member.Client().Put(t.Context(), bad, "k8s\x00garbage"); err != nil {
		t.Fatal(err)
	}
	for range w.Events() {
		// It ends, with an error.
	}
	if _, err := s.List(t.Context(), store.Query{}); !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), bad) {
		t.Fatalf("list: %v", err)
	}
	if err := s.Ready(); err == nil {
		t.Fatal("ready all the same")
	}
	if _, err := member.Client().Delete(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	if page, err := s.List(t.Context(), store.Query{}); err != nil || len(page.Items) != 1 {
		t.Fatalf("after it was mended: %+v, %v", page, err)
	}
}

// TestCompaction: of several servers one compacts, and only what is older than an interval.
func TestCompaction(t *testing.T) {
	t.Parallel()
	member := startEtcd(t, etcd.Config{})
	var stores []store.Store
	for range 2 {
		stores = append(stores, configMaps(t, store.BackendOptions{Client: member.Client(), Revision: member.Revision, CompactEvery: 50 * time.Millisecond}))
	}
	first, err := stores[0].Create(t.Context(), store.Key{Namespace: "default", Name: "a"}, storetest.ConfigMap("default", "a", ""), 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		key := store.Key{Namespace: "default", Name: fmt.Sprint(n)}
		if _, err := stores[n%2].Create(t.Context(), key, storetest.ConfigMap("default", key.Name, ""), 0); err != nil {
			t.Fatal(err)
		}
		_, err := stores[0].List(t.Context(), store.Query{ResourceVersion: fmt.Sprint(first.Revision - 1), Match: "Exact"})
		if apierrors.IsResourceExpired(err) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if page, err := stores[1].List(t.Context(), store.Query{}); err != nil || len(page.Items) == 0 {
		t.Fatalf("the present: %v", err)
	}
}

// TestATokenExpires: a list's pages end when their revision is compacted away, even if nothing of its kind changed since, and
// the answer says how to go on.
//
// conformance: API Chunking, server should support continue listing from the last key even if the original version has been compacted away
func TestATokenExpires(t *testing.T) {
	t.Parallel()
	member := startEtcd(t, etcd.Config{})
	backend := store.BackendOptions{Client: member.Client(), Revision: member.Revision, CompactEvery: 500 * time.Millisecond}
	s, other := configMaps(t, backend), configMaps(t, backend)
	for n := range 4 {
		key := store.Key{Namespace: "default", Name: fmt.Sprint(n)}
		if _, err := s.Create(t.Context(), key, storetest.ConfigMap("default", key.Name, ""), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []store.Store{s, other} {
		first, err := s.List(t.Context(), store.Query{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		again := ""
		for again == "" {
			_, err := s.List(t.Context(), store.Query{Limit: 1, Continue: first.Continue})
			if err != nil && !apierrors.IsResourceExpired(err) {
				t.Fatal(err)
			}
			if status, ok := err.(apierrors.APIStatus); ok {
				again = status.Status().ListMeta.Continue
			}
			time.Sleep(5 * time.Millisecond)
		}
		rest, err := s.List(t.Context(), store.Query{Continue: again})
		if err != nil || len(rest.Items) != 3 || rest.Items[0].Key.Name != "1" || rest.Revision == first.Revision {
			t.Fatalf("%+v, %v", rest, err)
		}
	}
}
