package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// Pods is all that the server knows about Pods.
func Pods() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Pod]{
		Version: "v1", Kind: "Pod", Plural: "pods",
		Short: []string{"po"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation: true,
		Views:      []resource.View[*corev1.Pod]{{Name: "ephemeralcontainers"}, {Name: "resize"}, {Name: "status"}},
		Connectors: []resource.Connector{
			{Name: "attach", Kind: schema.GroupVersionKind{Group: "", Version: "v1", Kind: "PodAttachOptions"}, Verbs: []string{"create", "get"}},
			{Name: "binding", Kind: schema.GroupVersionKind{Group: "", Version: "v1", Kind: "Binding"}, Verbs: []string{"create"}},
			{Name: "eviction", Kind: schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "Eviction"}, Verbs: []string{"create"}},
			{Name: "exec", Kind: schema.GroupVersionKind{Group: "", Version: "v1", Kind: "PodExecOptions"}, Verbs: []string{"create", "get"}},
			{Name: "log", Kind: schema.GroupVersionKind{Group: "", Version: "v1", Kind: "Pod"}, Verbs: []string{"get"}},
			{Name: "portforward", Kind: schema.GroupVersionKind{Group: "", Version: "v1", Kind: "PodPortForwardOptions"}, Verbs: []string{"create", "get"}},
			{Name: "proxy", Kind: schema.GroupVersionKind{Group: "", Version: "v1", Kind: "PodProxyOptions"}, Verbs: []string{"create", "delete", "get", "patch", "update"}},
		},
	})
}
