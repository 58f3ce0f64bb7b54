package authorization

import (
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/septet-io/septet/resource"
)

// SelfSubjectRulesReviews is all that the server knows about SelfSubjectRulesReviews.
func SelfSubjectRulesReviews() *resource.Kind {
	return resource.Define(resource.Definition[*authorizationv1.SelfSubjectRulesReview]{
		Group: "authorization.k8s.io", Version: "v1", Kind: "SelfSubjectRulesReview", Plural: "selfsubjectrulesreviews",
		Scope: resource.Cluster,
		Verbs: []string{"create"},
	})
}
