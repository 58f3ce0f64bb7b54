package authentication

import (
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/septet-io/septet/resource"
)

// SelfSubjectReviews is all that the server knows about SelfSubjectReviews.
func SelfSubjectReviews() *resource.Kind {
	return resource.Define(resource.Definition[*authenticationv1.SelfSubjectReview]{
		Group: "authentication.k8s.io", Version: "v1", Kind: "SelfSubjectReview", Plural: "selfsubjectreviews",
		Scope: resource.Cluster,
		Verbs: []string{"create"},
	})
}
