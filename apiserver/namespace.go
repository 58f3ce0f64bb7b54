package apiserver

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// namespaceHooks hold a namespace that is deleted until its spec.finalizers are gone: whoever empties it takes them away.
var namespaceHooks = rest.Hooks{
	Held: func(obj resource.Object) bool {
		namespace, ok := obj.(*corev1.Namespace)
		return ok && len(namespace.Spec.Finalizers) > 0
	},
	OnMark: func(obj resource.Object) {
		if namespace, ok := obj.(*corev1.Namespace); ok {
			namespace.Status.Phase = corev1.NamespaceTerminating
		}
	},
}
