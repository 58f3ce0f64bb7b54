package apiserver

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/apiserver/informer"
	"github.com/septet-io/septet/apiserver/store"
)

// TestInformersInTheProcessHoldTheServersOwnObjects shows that an object is in memory once, however many watch it.
func TestInformersInTheProcessHoldTheServersOwnObjects(t *testing.T) {
	t.Parallel()
	server := Start(t)
	server.Namespace("default")
	set := server.InProcess("admin", "system:masters")
	maps := set.CoreV1().ConfigMaps("default")
	create := func(name string) {
		t.Helper()
		if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"a": "b"}}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create("before")
	typed := informer.Factory(&server.Resources, set)
	metadata := informer.Metadata(&server.Resources, set.Metadata)
	gvr := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	added := make(chan string, 10)
	handler := cache.ResourceEventHandlerFuncs{AddFunc: func(obj any) { added <- obj.(metav1.Object).GetName() }}
	if _, err := typed.Core().V1().ConfigMaps().Informer().AddEventHandler(handler); err != nil {
		t.Fatal(err)
	}
	if _, err := metadata.ForResource(gvr).Informer().AddEventHandler(handler); err != nil {
		t.Fatal(err)
	}
	typed.Start(t.Context().Done())
	metadata.Start(t.Context().Done())
	typed.WaitForCacheSync(t.Context().Done())
	metadata.WaitForCacheSync(t.Context().Done())
	create("after")
	for range 4 {
		<-added
	}
	for _, name := range []string{"before", "after"} {
		held, err := typed.Core().V1().ConfigMaps().Lister().ConfigMaps("default").Get(name)
		if err != nil {
			t.Fatal(err)
		}
		item, err := server.Resources.Get(gvr).Open().Get(t.Context(), store.Key{Namespace: "default", Name: name}, "")
		if err != nil {
			t.Fatal(err)
		}
		if item.Object != held {
			t.Errorf("%s: the informer holds a copy", name)
		}
		part, err := metadata.ForResource(gvr).Lister().ByNamespace("default").Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if object := part.(*metav1.PartialObjectMetadata); object.ResourceVersion != held.ResourceVersion || object.Labels["a"] != "b" {
			t.Errorf("%s: metadata %+v", name, object)
		}
	}
}
