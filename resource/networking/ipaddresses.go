package networking

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/septet-io/septet/resource"
)

// IPAddresses is all that the server knows about IPAddresses: each holds one address of a service.
func IPAddresses() *resource.Kind {
	return resource.Define(resource.Definition[*networkingv1.IPAddress]{
		Group: "networking.k8s.io", Version: "v1", Kind: "IPAddress", Plural: "ipaddresses",
		Short: []string{"ip"}, Scope: resource.Cluster,
		ValidateName: addressName,
		Validate:     validateIPAddress, ValidateUpdate: validateIPAddressUpdate,
		Columns: []resource.Column[*networkingv1.IPAddress]{
			resource.Name[*networkingv1.IPAddress](),
			resource.Text("ParentRef", networkingv1.IPAddressSpec{}.SwaggerDoc()["parentRef"], parent),
		},
	})
}

func parent(address *networkingv1.IPAddress) string {
	ref := address.Spec.ParentRef
	if ref == nil {
		return "<none>"
	}
	var parts []string
	for _, part := range []string{ref.Group, ref.Resource, ref.Namespace, ref.Name} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}
