package networking

import (
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/septet-io/septet/resource"
)

// ServiceCIDRs is all that the server knows about ServiceCIDRs: the ranges of services' addresses.
func ServiceCIDRs() *resource.Kind {
	return resource.Define(resource.Definition[*networkingv1.ServiceCIDR]{
		Group: "networking.k8s.io", Version: "v1", Kind: "ServiceCIDR", Plural: "servicecidrs",
		Scope:    resource.Cluster,
		Validate: validateServiceCIDR, ValidateUpdate: validateServiceCIDRUpdate,
		Views: []resource.View[*networkingv1.ServiceCIDR]{{Name: "status"}},
		Columns: []resource.Column[*networkingv1.ServiceCIDR]{
			resource.Name[*networkingv1.ServiceCIDR](),
			resource.Text("CIDRs", networkingv1.ServiceCIDRSpec{}.SwaggerDoc()["cidrs"],
				func(c *networkingv1.ServiceCIDR) string { return strings.Join(c.Spec.CIDRs, ",") }),
			resource.Age[*networkingv1.ServiceCIDR](),
		},
	})
}

// andMore says how many of a list are not shown.
func andMore(hidden int) string {
	if hidden == 0 {
		return ""
	}
	return " + " + strconv.Itoa(hidden) + " more..."
}
