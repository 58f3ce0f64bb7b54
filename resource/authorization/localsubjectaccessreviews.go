package authorization

import (
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/septet-io/septet/resource"
)

// LocalSubjectAccessReviews is all that the server knows about LocalSubjectAccessReviews.
func LocalSubjectAccessReviews() *resource.Kind {
	return resource.Define(resource.Definition[*authorizationv1.LocalSubjectAccessReview]{
		Group: "authorization.k8s.io", Version: "v1", Kind: "LocalSubjectAccessReview", Plural: "localsubjectaccessreviews",
		Scope: resource.Namespaced,
		Verbs: []string{"create"},
	})
}
