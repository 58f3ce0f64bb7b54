package clients

import (
	"context"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// TestInformersFollow fills typed, dynamic and metadata informers and lets them see an object come, change and go.
func TestInformersFollow(t *testing.T) {
	_, config := start(t)
	ctx := t.Context()
	set := kubernetes.NewForConfigOrDie(config)
	typed := informers.NewSharedInformerFactory(set, 0)
	untyped := dynamicinformer.NewDynamicSharedInformerFactory(dynamic.NewForConfigOrDie(config), 0)
	meta := metadatainformer.NewSharedInformerFactory(metadata.NewForConfigOrDie(config), 0)
	stores := map[string]cache.Store{
		"typed":    typed.Core().V1().ConfigMaps().Informer().GetStore(),
		"dynamic":  untyped.ForResource(configMaps).Informer().GetStore(),
		"metadata": meta.ForResource(configMaps).Informer().GetStore(),
	}
	stop := make(chan struct{})
	defer typed.Shutdown()
	defer untyped.Shutdown()
	defer meta.Shutdown()
	defer close(stop)
	typed.Start(stop)
	untyped.Start(stop)
	meta.Start(stop)
	typed.WaitForCacheSync(stop)
	untyped.WaitForCacheSync(stop)
	meta.WaitForCacheSync(stop)

	client := set.CoreV1().ConfigMaps("default")
	made, err := client.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one", Labels: map[string]string{"step": "made"}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	step := func(want string) func() bool {
		return func() bool {
			for _, store := range stores {
				obj, there, err := store.GetByKey("default/one")
				if err != nil || !there || obj.(metav1.Object).GetLabels()["step"] != want {
					return false
				}
			}
			return true
		}
	}
	until(t, "all informers have the new object", step("made"))
	made.Labels["step"] = "changed"
	if _, err := client.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "all informers have the changed object", step("changed"))
	if err := client.Delete(ctx, "one", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "no informer has the deleted object", func() bool {
		for _, store := range stores {
			if _, there, err := store.GetByKey("default/one"); err != nil || there {
				return false
			}
		}
		return true
	})
}

// TestLeadersAreElected lets two candidates stand for one lease: the second takes over when the first resigns.
func TestLeadersAreElected(t *testing.T) {
	_, config := start(t)
	set := kubernetes.NewForConfigOrDie(config)
	leads := make(chan string, 2)
	var group sync.WaitGroup
	stand := func(ctx context.Context, name string) {
		group.Go(func() {
			leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
				Lock: &resourcelock.LeaseLock{
					LeaseMeta: metav1.ObjectMeta{Namespace: "default", Name: "chair"}, Client: set.CoordinationV1(),
					LockConfig: resourcelock.ResourceLockConfig{Identity: name},
				},
				LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 50 * time.Millisecond, ReleaseOnCancel: true,
				Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leads <- name }, OnStoppedLeading: func() {}},
			})
		})
	}
	first, resign := context.WithCancel(t.Context())
	stand(first, "first")
	if name := <-leads; name != "first" {
		t.Fatalf("%s leads", name)
	}
	second, end := context.WithCancel(t.Context())
	stand(second, "second")
	resign()
	if name := <-leads; name != "second" {
		t.Errorf("%s leads", name)
	}
	end()
	group.Wait()
}

// TestDynamicAndMetadataClients goes once through the verbs without types.
func TestDynamicAndMetadataClients(t *testing.T) {
	_, config := start(t)
	ctx := t.Context()
	client := dynamic.NewForConfigOrDie(config).Resource(configMaps).Namespace("default")
	object := func(name, value string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name, "labels": map[string]any{"of": "test"}}, "data": map[string]any{"value": value},
		}}
	}
	if _, err := client.Create(ctx, object("one", "1"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	applied, err := client.Apply(ctx, "two", object("two", "2"), metav1.ApplyOptions{FieldManager: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if fields := applied.GetManagedFields(); len(fields) != 1 || fields[0].Operation != metav1.ManagedFieldsOperationApply {
		t.Errorf("managed fields: %+v", fields)
	}
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: "of=test"})
	if err != nil || len(list.Items) != 2 {
		t.Errorf("%d found: %v", len(list.Items), err)
	}
	meta := metadata.NewForConfigOrDie(config).Resource(configMaps).Namespace("default")
	partial, err := meta.List(ctx, metav1.ListOptions{LabelSelector: "of=test", Limit: 1})
	if err != nil || len(partial.Items) != 1 || partial.Continue == "" || ptr.Deref(partial.RemainingItemCount, 0) != 0 {
		t.Errorf("metadata: %+v %v", partial, err)
	}
	if err := meta.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "of=test"}); err != nil {
		t.Error(err)
	}
	if left, err := meta.List(ctx, metav1.ListOptions{LabelSelector: "of=test"}); err != nil || len(left.Items) != 0 {
		t.Errorf("%d are left: %v", len(left.Items), err)
	}
}

// TestTypedApplyAndMappers applies by a generated configuration and maps kinds by discovery.
func TestTypedApplyAndMappers(t *testing.T) {
	_, config := start(t)
	set := kubernetes.NewForConfigOrDie(config)
	wanted := applycorev1.ConfigMap("typed", "default").WithData(map[string]string{"a": "b"})
	made, err := set.CoreV1().ConfigMaps("default").Apply(t.Context(), wanted, metav1.ApplyOptions{FieldManager: "test"})
	if err != nil {
		t.Fatal(err)
	}
	extracted, err := applycorev1.ExtractConfigMap(made, "test")
	if err != nil || extracted.Data["a"] != "b" {
		t.Errorf("%+v %v", extracted, err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(set.Discovery()))
	mapping, err := mapper.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"})
	if err != nil || mapping.Resource.Resource != "deployments" || mapping.Scope.Name() != "namespace" {
		t.Errorf("%+v %v", mapping, err)
	}
	if _, err := set.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{LabelSelector: labels.Everything().String()}); err != nil {
		t.Error(err)
	}
}
