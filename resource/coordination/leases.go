package coordination

import (
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/septet-io/septet/resource"
)

// Leases is all that the server knows about Leases.
func Leases() *resource.Kind {
	return resource.Define(resource.Definition[*coordinationv1.Lease]{
		Group: "coordination.k8s.io", Version: "v1", Kind: "Lease", Plural: "leases",
		Scope:          resource.Namespaced,
		CreateOnUpdate: true, RequireVersion: true,
	})
}
