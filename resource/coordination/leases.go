package coordination

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// Leases is all that the server knows about Leases.
func Leases() *resource.Kind {
	return resource.Define(resource.Definition[*coordinationv1.Lease]{
		Group: "coordination.k8s.io", Version: "v1", Kind: "Lease", Plural: "leases",
		Scope:    resource.Namespaced,
		Validate: validateLease, ValidateUpdate: validateLeaseUpdate,
		PrepareCreate:  func(_ *resource.Request, lease *coordinationv1.Lease) { dropElection(lease, nil) },
		PrepareUpdate:  func(_ *resource.Request, lease, old *coordinationv1.Lease) { dropElection(lease, &old.Spec) },
		CreateOnUpdate: true, RequireVersion: true,
		Columns: []resource.Column[*coordinationv1.Lease]{
			resource.Name[*coordinationv1.Lease](),
			resource.Text("Holder", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"],
				func(l *coordinationv1.Lease) string { return ptr.Deref(l.Spec.HolderIdentity, "") }),
			resource.Age[*coordinationv1.Lease](),
		},
	})
}

// dropElection drops the fields of elections that the server would decide (KEP-4355, off by default), unless they are stored.
func dropElection(lease *coordinationv1.Lease, old *coordinationv1.LeaseSpec) {
	if old == nil || old.Strategy == nil {
		lease.Spec.Strategy = nil
	}
	if old == nil || old.PreferredHolder == nil {
		lease.Spec.PreferredHolder = nil
	}
}
