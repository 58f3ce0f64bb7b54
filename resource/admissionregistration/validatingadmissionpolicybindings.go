package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/resource"
)

// ValidatingAdmissionPolicyBindings is all that the server knows about ValidatingAdmissionPolicyBindings.
func ValidatingAdmissionPolicyBindings() *resource.Kind {
	doc := admissionv1.ValidatingAdmissionPolicyBindingSpec{}.SwaggerDoc()
	return resource.Define(resource.Definition[*admissionv1.ValidatingAdmissionPolicyBinding]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicyBinding", Plural: "validatingadmissionpolicybindings",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
		Validate: validateBinding, ValidateUpdate: validateBindingUpdate,
		Default: func(b *admissionv1.ValidatingAdmissionPolicyBinding) { defaultMatch(b.Spec.MatchResources) },
		Columns: []resource.Column[*admissionv1.ValidatingAdmissionPolicyBinding]{
			resource.Name[*admissionv1.ValidatingAdmissionPolicyBinding](),
			resource.Text("PolicyName", doc["policyName"], func(b *admissionv1.ValidatingAdmissionPolicyBinding) string { return b.Spec.PolicyName }),
			resource.Text("ParamRef", doc["paramRef"], func(b *admissionv1.ValidatingAdmissionPolicyBinding) string { return paramRef(b.Spec.ParamRef) }),
			resource.Age[*admissionv1.ValidatingAdmissionPolicyBinding](),
		},
	})
}
