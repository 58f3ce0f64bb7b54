// Package storetest is what every store.Store must do, as tests: run them against each implementation and each way
// to reach etcd.
package storetest

import (
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// Pods have an indexed field, ConfigMaps nothing special, Namespaces no namespace; Widgets are a custom resource.
var (
	Pods = resource.Define(resource.Definition[*corev1.Pod]{
		Version: "v1", Kind: "Pod", Plural: "pods", Scope: resource.Namespaced,
		Fields: []resource.Field[*corev1.Pod]{
			{Name: "spec.nodeName", Value: func(p *corev1.Pod) string { return p.Spec.NodeName }},
			{Name: "status.phase", Value: func(p *corev1.Pod) string { return string(p.Status.Phase) }},
		},
	})
	ConfigMaps = resource.Define(resource.Definition[*corev1.ConfigMap]{
		Version: "v1", Kind: "ConfigMap", Plural: "configmaps", Scope: resource.Namespaced,
	})
	Namespaces = resource.Define(resource.Definition[*corev1.Namespace]{
		Version: "v1", Kind: "Namespace", Plural: "namespaces", Scope: resource.Cluster,
	})
	Widgets = resource.Define(resource.Definition[*unstructured.Unstructured]{
		Group: "example.com", Version: "v1", Kind: "Widget", Plural: "widgets", Scope: resource.Namespaced,
		StorageKey: "example.com/widgets",
	})
)

// Maker makes the store of a kind, ended when the test ends. Several of one kind are as several servers on one etcd.
type Maker func(t testing.TB, kind *resource.Kind) store.Store

// Start makes an empty etcd, and a Maker on it.
type Start func(t testing.TB) (Maker, *clientv3.Client)

// On makes each store with a Backend of its own.
func On(options store.BackendOptions) Maker {
	return func(t testing.TB, kind *resource.Kind) store.Store {
		backend := store.Connect(options)
		t.Cleanup(backend.Stop)
		s := store.New(OptionsFor(kind, backend))
		t.Cleanup(s.Stop)
		return s
	}
}

// OptionsFor are the usual ones of a kind.
func OptionsFor(kind *resource.Kind, backend *store.Backend) store.Options {
	options := store.Options{Kind: kind, Backend: backend, Codec: store.ProtobufCodec(kind)}
	switch kind {
	case Pods:
		options.Index = []string{"spec.nodeName"}
	case Widgets:
		options.Codec = store.JSONCodec(kind)
	}
	return options
}

// Pod makes one that looks like those of a Deployment.
func Pod(namespace, name, node string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: labels, UID: types.UID(namespace + "-" + name),
			CreationTimestamp: metav1.NewTime(time.Unix(1700000000, 0)),
		},
		Spec: corev1.PodSpec{
			NodeName: node, RestartPolicy: corev1.RestartPolicyAlways, ServiceAccountName: "default",
			Containers: []corev1.Container{{Name: "web", Image: "registry.example/web:1", ImagePullPolicy: corev1.PullIfNotPresent}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
}

// ConfigMap makes one with a value.
func ConfigMap(namespace, name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "-" + name)},
		Data:       map[string]string{"value": value},
	}
}

// Widget makes a custom object.
func Widget(namespace, name string, size int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget",
		"metadata": map[string]any{"namespace": namespace, "name": name, "uid": fmt.Sprintf("%s-%s", namespace, name)},
		"spec":     map[string]any{"size": size},
	}}
}

func keyOf(obj resource.Object) store.Key {
	return store.Key{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

func revisionString(revision int64) string { return fmt.Sprint(revision) }
