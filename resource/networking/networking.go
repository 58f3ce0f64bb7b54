// Package networking holds ingresses, network policies, and the address ranges of services.
package networking

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		IngressClasses(),
		Ingresses(),
		IPAddresses(),
		NetworkPolicies(),
		ServiceCIDRs(),
	}
}
