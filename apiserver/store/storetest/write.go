package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

func value(item *store.Item) string { return item.Object.(*corev1.ConfigMap).Data["value"] }

func setTo(v string) store.Change {
	return func(current *store.Item) (resource.Object, time.Duration, error) {
		changed := current.Object.DeepCopyObject().(*corev1.ConfigMap)
		changed.Data = map[string]string{"value": v}
		return changed, 0, nil
	}
}

func testUpdate(t *testing.T, start Start) {
	maker, _ := start(t)
	s := maker(t, ConfigMaps)
	key := store.Key{Namespace: "default", Name: "a"}
	if _, _, err := s.Update(t.Context(), key, nil, false, setTo("1")); !apierrors.IsNotFound(err) {
		t.Fatalf("update of nothing: %v", err)
	}
	item, changed, err := s.Update(t.Context(), key, nil, true, func(current *store.Item) (resource.Object, time.Duration, error) {
		if current != nil {
			t.Errorf("current is %v", current)
		}
		return ConfigMap("default", "a", "1"), 0, nil
	})
	if err != nil || !changed {
		t.Fatalf("update that creates: %v, %v", changed, err)
	}
	again, changed, err := s.Update(t.Context(), key, nil, false, setTo("1"))
	if err != nil || changed || again.Revision != item.Revision {
		t.Fatalf("update that changes nothing: %v, %v, revision %d after %d", changed, err, again.Revision, item.Revision)
	}
	teapot := apierrors.NewForbidden(ConfigMaps.GroupResource(), "a", errors.New("no"))
	_, _, err = s.Update(t.Context(), key, nil, false, func(*store.Item) (resource.Object, time.Duration, error) { return nil, 0, teapot })
	if !apierrors.IsForbidden(err) {
		t.Fatalf("the caller's own error came out as %v", err)
	}
	for _, pre := range []*store.Preconditions{
		{UID: ptr.To(types.UID("other"))},
		{ResourceVersion: ptr.To("1")},
	} {
		if _, _, err := s.Update(t.Context(), key, pre, false, setTo("2")); !apierrors.IsConflict(err) {
			t.Fatalf("update against %+v: %v", pre, err)
		}
		if _, err := s.Delete(t.Context(), key, pre, nil); !apierrors.IsConflict(err) {
			t.Fatalf("delete against %+v: %v", pre, err)
		}
	}
	right := &store.Preconditions{UID: ptr.To(item.Object.GetUID()), ResourceVersion: ptr.To(item.Object.GetResourceVersion())}
	if _, changed, err := s.Update(t.Context(), key, right, false, setTo("2")); err != nil || !changed {
		t.Fatalf("update under right preconditions: %v, %v", changed, err)
	}
}

// testCounters has writers of two servers count up together: no update may be lost.
func testCounters(t *testing.T, start Start) {
	maker, _ := start(t)
	servers := []store.Store{maker(t, ConfigMaps), maker(t, ConfigMaps)}
	create(t, servers[0], ConfigMap("default", "a", ""))
	const writers, rounds = 6, 20
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for range rounds {
				_, _, err := servers[n%2].Update(t.Context(), store.Key{Namespace: "default", Name: "a"}, nil, false,
					func(current *store.Item) (resource.Object, time.Duration, error) {
						changed := current.Object.DeepCopyObject().(*corev1.ConfigMap)
						changed.Data = map[string]string{"value": value(current) + "x"}
						return changed, 0, nil
					})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range servers {
		item, err := s.Get(t.Context(), store.Key{Namespace: "default", Name: "a"}, "")
		if err != nil || len(value(item)) != writers*rounds {
			t.Fatalf("counted to %d, %v; want %d", len(value(item)), err, writers*rounds)
		}
	}
}

// testOldCaches: a server whose cache is behind must not act on what it shows.
func testOldCaches(t *testing.T, start Start) {
	maker, _ := start(t)
	one, two := maker(t, ConfigMaps), maker(t, ConfigMaps)
	for round := range 50 {
		key := store.Key{Namespace: "default", Name: fmt.Sprint(round)}
		create(t, one, ConfigMap(key.Namespace, key.Name, "1"))
		if item, err := two.Get(t.Context(), key, ""); err != nil || value(item) != "1" {
			t.Fatalf("the second server does not see the first one's create: %v", err)
		}
		setValue(t, one, key, "2")
		if _, changed, err := two.Update(t.Context(), key, nil, false, setTo("1")); err != nil || !changed {
			t.Fatalf("changing back was taken for nothing: %v, %v", changed, err)
		}
		remove(t, two, key)
		if _, err := one.Delete(t.Context(), key, nil, nil); !apierrors.IsNotFound(err) {
			t.Fatalf("deleted twice: %v", err)
		}
	}
}

func testDelete(t *testing.T, start Start) {
	maker, _ := start(t)
	s := maker(t, ConfigMaps)
	key := store.Key{Namespace: "default", Name: "a"}
	created := create(t, s, ConfigMap("default", "a", "1"))
	refused := apierrors.NewForbidden(ConfigMaps.GroupResource(), "a", errors.New("no"))
	if _, err := s.Delete(t.Context(), key, nil, func(*store.Item) error { return refused }); !apierrors.IsForbidden(err) {
		t.Fatalf("refused delete: %v", err)
	}
	calls := 0
	deleted, err := s.Delete(t.Context(), key, nil, func(current *store.Item) error {
		if calls++; calls == 1 {
			setValue(t, s, key, "2")
		}
		return nil
	})
	if err != nil || value(deleted) != "2" || deleted.Revision <= created.Revision || calls != 2 {
		t.Fatalf("deleted %+v after %d calls, %v", deleted, calls, err)
	}
	if deleted.Object.GetResourceVersion() != revisionString(deleted.Revision) {
		t.Fatalf("resourceVersion %s at revision %d", deleted.Object.GetResourceVersion(), deleted.Revision)
	}
}

func testTTL(t *testing.T, start Start) {
	maker, client := start(t)
	s := maker(t, ConfigMaps)
	leases := map[int64]bool{}
	for _, name := range []string{"a", "b"} {
		if _, err := s.Create(t.Context(), store.Key{Namespace: "default", Name: name}, ConfigMap("default", name, ""), time.Hour); err != nil {
			t.Fatal(err)
		}
		raw, err := client.Get(t.Context(), "/registry/configmaps/default/"+name)
		if err != nil || len(raw.Kvs) != 1 || raw.Kvs[0].Lease == 0 {
			t.Fatalf("no lease on %s: %v, %v", name, raw, err)
		}
		leases[raw.Kvs[0].Lease] = true
	}
	if len(leases) != 1 {
		t.Fatalf("%d leases for two objects", len(leases))
	}
	w := startWatch(t.Context(), t, s, store.WatchQuery{SendInitialEvents: ptr.To(false)})
	for lease := range leases {
		if err := revoke(t, client, lease); err != nil {
			t.Fatal(err)
		}
	}
	first, second := w.next(t), w.next(t)
	if first.Type != "DELETED" || second.Type != "DELETED" || first.Item.Revision != second.Item.Revision {
		t.Fatalf("after the lease: %+v, %+v", first, second)
	}
}

func testScopesAndForms(t *testing.T, start Start) {
	maker, client := start(t)
	namespaces, widgets := maker(t, Namespaces), maker(t, Widgets)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "blue"}}
	create(t, namespaces, namespace)
	page, err := namespaces.List(t.Context(), store.Query{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Key != (store.Key{Name: "blue"}) {
		t.Fatalf("namespaces: %+v, %v", page, err)
	}
	if object := page.Items[0].Object.(*corev1.Namespace); object.Kind != "Namespace" || object.APIVersion != "v1" {
		t.Fatalf("apiVersion and kind are %q, %q", object.APIVersion, object.Kind)
	}
	create(t, widgets, Widget("blue", "w", 5))
	// A second server reads what the first one wrote.
	item, err := maker(t, Widgets).Get(t.Context(), store.Key{Namespace: "blue", Name: "w"}, "")
	if err != nil {
		t.Fatal(err)
	}
	size, _, _ := unstructured.NestedInt64(item.Object.(*unstructured.Unstructured).Object, "spec", "size")
	if size != 5 {
		t.Fatalf("widget came back as %v", item.Object)
	}
	raw, err := client.Get(t.Context(), "/registry/example.com/widgets/blue/w")
	want := `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","namespace":"blue","uid":"blue-w"},"spec":{"size":5}}` + "\n"
	if err != nil || len(raw.Kvs) != 1 || string(raw.Kvs[0].Value) != want {
		t.Fatalf("etcd has %v, %v", raw, err)
	}
}
