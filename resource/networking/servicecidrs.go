package networking

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/septet-io/septet/resource"
)

// ServiceCIDRs is all that the server knows about ServiceCIDRs.
func ServiceCIDRs() *resource.Kind {
	return resource.Define(resource.Definition[*networkingv1.ServiceCIDR]{
		Group: "networking.k8s.io", Version: "v1", Kind: "ServiceCIDR", Plural: "servicecidrs",
		Scope: resource.Cluster,
		Views: []resource.View[*networkingv1.ServiceCIDR]{{Name: "status"}},
	})
}
