package policy

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/septet-io/septet/resource"
)

// PodDisruptionBudgets is all that the server knows about PodDisruptionBudgets.
func PodDisruptionBudgets() *resource.Kind {
	return resource.Define(resource.Definition[*policyv1.PodDisruptionBudget]{
		Group: "policy", Version: "v1", Kind: "PodDisruptionBudget", Plural: "poddisruptionbudgets",
		Short: []string{"pdb"}, Scope: resource.Namespaced,
		Generation: true, RequireVersion: true,
		Validate: validateBudget, ValidateUpdate: validateBudgetUpdate,
		Views: []resource.View[*policyv1.PodDisruptionBudget]{{
			Name:     "status",
			Prepare:  func(_ *resource.Request, obj, old *policyv1.PodDisruptionBudget) { obj.Spec = old.Spec },
			Validate: validateBudgetStatus,
		}},
		Columns: columns(),
	})
}

func columns() []resource.Column[*policyv1.PodDisruptionBudget] {
	doc := policyv1.PodDisruptionBudgetSpec{}.SwaggerDoc()
	return []resource.Column[*policyv1.PodDisruptionBudget]{
		resource.Name[*policyv1.PodDisruptionBudget](),
		resource.Text("Min Available", doc["minAvailable"], func(b *policyv1.PodDisruptionBudget) string { return orNA(b.Spec.MinAvailable) }),
		resource.Text("Max Unavailable", doc["maxUnavailable"], func(b *policyv1.PodDisruptionBudget) string { return orNA(b.Spec.MaxUnavailable) }),
		resource.Number("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time.",
			func(b *policyv1.PodDisruptionBudget) int64 { return int64(b.Status.DisruptionsAllowed) }),
		resource.Age[*policyv1.PodDisruptionBudget](),
	}
}

func orNA(amount *intstr.IntOrString) string {
	if amount == nil {
		return "N/A"
	}
	return amount.String()
}
