package networking

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/septet-io/septet/resource"
)

// IPAddresses is all that the server knows about IPAddresses.
func IPAddresses() *resource.Kind {
	return resource.Define(resource.Definition[*networkingv1.IPAddress]{
		Group: "networking.k8s.io", Version: "v1", Kind: "IPAddress", Plural: "ipaddresses",
		Short: []string{"ip"}, Scope: resource.Cluster,
	})
}
