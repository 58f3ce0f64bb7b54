package networking

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/septet-io/septet/resource"
)

// Ingresses is all that the server knows about Ingresses.
func Ingresses() *resource.Kind {
	return resource.Define(resource.Definition[*networkingv1.Ingress]{
		Group: "networking.k8s.io", Version: "v1", Kind: "Ingress", Plural: "ingresses",
		Short: []string{"ing"}, Scope: resource.Namespaced,
		StorageKey: "ingress",
		Generation: true,
		Views:      []resource.View[*networkingv1.Ingress]{{Name: "status"}},
	})
}
