package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// Nodes is all that the server knows about Nodes.
func Nodes() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Node]{
		Version: "v1", Kind: "Node", Plural: "nodes",
		Short: []string{"no"}, Scope: resource.Cluster,
		StorageKey: "minions",
		Views:      []resource.View[*corev1.Node]{{Name: "status"}},
		Connectors: []resource.Connector{
			{Name: "proxy", Kind: schema.GroupVersionKind{Group: "", Version: "v1", Kind: "NodeProxyOptions"}, Verbs: []string{"create", "delete", "get", "patch", "update"}},
		},
	})
}
