package networking

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/septet-io/septet/resource"
)

// NetworkPolicies is all that the server knows about NetworkPolicies.
func NetworkPolicies() *resource.Kind {
	return resource.Define(resource.Definition[*networkingv1.NetworkPolicy]{
		Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy", Plural: "networkpolicies",
		Short: []string{"netpol"}, Scope: resource.Namespaced,
		Generation: true,
	})
}
