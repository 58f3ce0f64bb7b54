package resourceapi

import (
	resourcev1 "k8s.io/api/resource/v1"

	"github.com/septet-io/septet/resource"
)

// ResourceClaims is all that the server knows about ResourceClaims.
func ResourceClaims() *resource.Kind {
	return resource.Define(resource.Definition[*resourcev1.ResourceClaim]{
		Group: "resource.k8s.io", Version: "v1", Kind: "ResourceClaim", Plural: "resourceclaims",
		Scope: resource.Namespaced,
		Views: []resource.View[*resourcev1.ResourceClaim]{{Name: "status"}},
	})
}
