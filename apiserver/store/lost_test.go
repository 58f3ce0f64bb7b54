package store

import (
	"net/url"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/resource"
)

// TestRestoredEtcd: when etcd turns out older than what was seen of it, watches end with 410 and everything is read anew.
func TestRestoredEtcd(t *testing.T) {
	t.Parallel()
	start := func() (*etcd.Server, BackendOptions) {
		server, err := etcd.Start(t.Context(), etcd.Config{DataDir: t.TempDir(), UnsafeNoFsync: true, ListenClient: []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		client, err := Dial(Remote{Endpoints: server.Endpoints()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		return server, BackendOptions{Client: client}
	}
	kind := resource.Define(resource.Definition[*corev1.ConfigMap]{Version: "v1", Kind: "ConfigMap", Plural: "configmaps", Scope: resource.Namespaced})
	server, options := start()
	backend := Connect(options)
	t.Cleanup(backend.Stop)
	s := New(Options{Kind: kind, Backend: backend, Codec: ProtobufCodec(kind)})
	key := Key{Namespace: "default", Name: "a"}
	if _, err := s.Create(t.Context(), key, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}}, 0); err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(t.Context(), WatchQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if batch := <-w.Events(); batch[0].Type != watch.Added {
		t.Fatalf("%+v", batch)
	}
	// As if a thousand more revisions had been seen before the backup was put in place.
	backend.feed.revision.Add(1000)
	var last Event
	for ended := false; !ended; {
		if _, err := s.List(t.Context(), Query{}); err != nil {
			t.Fatal(err)
		}
		select {
		case batch, ok := <-w.Events():
			if ended = !ok; ok {
				last = batch[len(batch)-1]
			}
		default:
		}
	}
	if last.Type != watch.Error || !apierrors.IsResourceExpired(last.Err) {
		t.Fatalf("the watch ended with %+v", last)
	}
	now, err := server.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if page, err := s.List(t.Context(), Query{}); err != nil || len(page.Items) != 1 || page.Revision != now {
		t.Fatalf("%+v, %v; want revision %d", page, err, now)
	}
	if _, err := s.Delete(t.Context(), key, nil, nil); err != nil {
		t.Fatal(err)
	}
}
