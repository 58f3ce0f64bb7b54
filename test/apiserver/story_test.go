package apiserver

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/septet-io/septet/client"
)

// TestAConfigMapsLife takes one object through every verb, over TLS and in process alike.
//
// conformance: ConfigMap Update
func TestAConfigMapsLife(t *testing.T) {
	t.Parallel()
	server := Start(t)
	for name, set := range map[string]*client.Set{
		"tls": server.Client(), "in-process": server.InProcess("admin", "system:masters"),
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); liveAndDie(t, set, "life-"+name) })
	}
}

func liveAndDie(t *testing.T, set *client.Set, namespace string) {
	ctx := t.Context()
	if _, err := set.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	maps := set.CoreV1().ConfigMaps(namespace)
	watcher, err := maps.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	made, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "c-"}, Data: map[string]string{"a": "1"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if made.UID == "" || made.ResourceVersion == "" || made.CreationTimestamp.IsZero() || len(made.ManagedFields) != 1 {
		t.Fatalf("metadata is not filled in: %+v", made.ObjectMeta)
	}
	expect(t, watcher, watch.Added, made.Name)

	stale := made.DeepCopy()
	made.Data["a"] = "2"
	updated, err := maps.Update(ctx, made, metav1.UpdateOptions{})
	if err != nil || updated.ResourceVersion == stale.ResourceVersion {
		t.Fatalf("update: %v, version %s", err, updated.ResourceVersion)
	}
	expect(t, watcher, watch.Modified, made.Name)
	if again, err := maps.Update(ctx, updated, metav1.UpdateOptions{}); err != nil || again.ResourceVersion != updated.ResourceVersion {
		t.Fatalf("an update that changes nothing wrote: %v, %s then %s", err, updated.ResourceVersion, again.ResourceVersion)
	}
	stale.Data["a"] = "3"
	if _, err := maps.Update(ctx, stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Fatalf("update of an old version: %v", err)
	}
	for kind, patch := range map[types.PatchType]string{
		types.JSONPatchType:           `[{"op":"add","path":"/data/json","value":"x"}]`,
		types.MergePatchType:          `{"data":{"merge":"x"}}`,
		types.StrategicMergePatchType: `{"data":{"strategic":"x"}}`,
	} {
		if _, err := maps.Patch(ctx, made.Name, kind, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		expect(t, watcher, watch.Modified, made.Name)
	}
	got, err := maps.Get(ctx, made.Name, metav1.GetOptions{})
	if err != nil || len(got.Data) != 4 {
		t.Fatalf("get: %v, %v", err, got.Data)
	}
	list, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.ResourceVersion == "" {
		t.Fatalf("list: %v, %d items", err, len(list.Items))
	}
	if err := maps.Delete(ctx, made.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, watcher, watch.Deleted, made.Name)
	if _, err := maps.Get(ctx, made.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatalf("get of a deleted object: %v", err)
	}
	deleteAll(t, ctx, set, namespace)
}

func deleteAll(t *testing.T, ctx context.Context, set *client.Set, namespace string) {
	maps := set.CoreV1().ConfigMaps(namespace)
	for range 3 {
		if _, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "c-"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if list, err := maps.List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		t.Fatalf("after deleting all: %v, %d left", err, len(list.Items))
	}
}

func expect(t *testing.T, watcher watch.Interface, kind watch.EventType, name string) {
	t.Helper()
	event, open := <-watcher.ResultChan()
	if !open {
		t.Fatalf("the watch ended, want %s of %s", kind, name)
	}
	if object, ok := event.Object.(metav1.Object); !ok || event.Type != kind || object.GetName() != name {
		t.Fatalf("got %s of %v, want %s of %s", event.Type, event.Object, kind, name)
	}
}
