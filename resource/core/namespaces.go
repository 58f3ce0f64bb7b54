package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// Namespaces is all that the server knows about Namespaces.
func Namespaces() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Namespace]{
		Version: "v1", Kind: "Namespace", Plural: "namespaces",
		Short: []string{"ns"}, Scope: resource.Cluster,
		Verbs: []string{"create", "delete", "get", "list", "patch", "update", "watch"},
		Views: []resource.View[*corev1.Namespace]{{Name: "finalize", Verbs: []string{"update"}}, {Name: "status"}},
	})
}
