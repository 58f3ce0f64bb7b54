package authorization

import (
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/septet-io/septet/resource"
)

// SelfSubjectAccessReviews is all that the server knows about SelfSubjectAccessReviews.
func SelfSubjectAccessReviews() *resource.Kind {
	return resource.Define(resource.Definition[*authorizationv1.SelfSubjectAccessReview]{
		Group: "authorization.k8s.io", Version: "v1", Kind: "SelfSubjectAccessReview", Plural: "selfsubjectaccessreviews",
		Scope: resource.Cluster,
		Verbs: []string{"create"},
	})
}
