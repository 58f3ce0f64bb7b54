package authorization

import (
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/septet-io/septet/resource"
)

// SubjectAccessReviews is all that the server knows about SubjectAccessReviews.
func SubjectAccessReviews() *resource.Kind {
	return resource.Define(resource.Definition[*authorizationv1.SubjectAccessReview]{
		Group: "authorization.k8s.io", Version: "v1", Kind: "SubjectAccessReview", Plural: "subjectaccessreviews",
		Scope: resource.Cluster,
		Verbs: []string{"create"},
	})
}
