package policy

import (
	policyv1 "k8s.io/api/policy/v1"

	"github.com/septet-io/septet/resource"
)

// PodDisruptionBudgets is all that the server knows about PodDisruptionBudgets.
func PodDisruptionBudgets() *resource.Kind {
	return resource.Define(resource.Definition[*policyv1.PodDisruptionBudget]{
		Group: "policy", Version: "v1", Kind: "PodDisruptionBudget", Plural: "poddisruptionbudgets",
		Short: []string{"pdb"}, Scope: resource.Namespaced,
		Generation: true, RequireVersion: true,
		Views: []resource.View[*policyv1.PodDisruptionBudget]{{Name: "status"}},
	})
}
