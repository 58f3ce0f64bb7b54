package networking

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/septet-io/septet/resource"
)

// IngressClasses is all that the server knows about IngressClasses.
func IngressClasses() *resource.Kind {
	return resource.Define(resource.Definition[*networkingv1.IngressClass]{
		Group: "networking.k8s.io", Version: "v1", Kind: "IngressClass", Plural: "ingressclasses",
		Scope:      resource.Cluster,
		Generation: true,
	})
}
