package resourceapi

import (
	"strings"

	resourcev1 "k8s.io/api/resource/v1"

	"github.com/septet-io/septet/resource"
)

// ResourceClaims is all that the server knows about ResourceClaims.
func ResourceClaims() *resource.Kind {
	return resource.Define(resource.Definition[*resourcev1.ResourceClaim]{
		Group: "resource.k8s.io", Version: "v1", Kind: "ResourceClaim", Plural: "resourceclaims",
		Scope:    resource.Namespaced,
		Validate: validateClaim, ValidateUpdate: validateClaimUpdate,
		Default: func(c *resourcev1.ResourceClaim) {
			defaultClaim(&c.Spec)
			defaultAllocation(&c.Status)
		},
		Views: []resource.View[*resourcev1.ResourceClaim]{{Name: "status", Validate: validateClaimStatus}},
		Columns: []resource.Column[*resourcev1.ResourceClaim]{
			resource.Name[*resourcev1.ResourceClaim](),
			resource.Text("State", "A summary of the current state (allocated, pending, reserved, etc.).", state),
			resource.Age[*resourcev1.ResourceClaim](),
		},
	})
}

// state says how far a claim is: deleted, allocated, reserved, or pending while it is none of these.
func state(claim *resourcev1.ResourceClaim) string {
	var states []string
	if claim.DeletionTimestamp != nil {
		states = append(states, "deleted")
	}
	if claim.Status.Allocation != nil {
		states = append(states, "allocated")
	}
	if len(claim.Status.ReservedFor) > 0 {
		states = append(states, "reserved")
	}
	if len(states) == 0 {
		return "pending"
	}
	return strings.Join(states, ",")
}
