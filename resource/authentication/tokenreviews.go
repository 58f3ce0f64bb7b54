package authentication

import (
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/septet-io/septet/resource"
)

// TokenReviews is all that the server knows about TokenReviews.
func TokenReviews() *resource.Kind {
	return resource.Define(resource.Definition[*authenticationv1.TokenReview]{
		Group: "authentication.k8s.io", Version: "v1", Kind: "TokenReview", Plural: "tokenreviews",
		Scope: resource.Cluster,
		Verbs: []string{"create"},
	})
}
