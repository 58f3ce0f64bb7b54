package discovery

import (
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/septet-io/septet/resource"
)

// EndpointSlices is all that the server knows about EndpointSlices.
func EndpointSlices() *resource.Kind {
	return resource.Define(resource.Definition[*discoveryv1.EndpointSlice]{
		Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice", Plural: "endpointslices",
		Scope:      resource.Namespaced,
		Generation: true,
	})
}
