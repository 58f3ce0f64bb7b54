package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/resource"
)

// MutatingAdmissionPolicyBindings is all that the server knows about MutatingAdmissionPolicyBindings.
func MutatingAdmissionPolicyBindings() *resource.Kind {
	doc := admissionv1.MutatingAdmissionPolicyBindingSpec{}.SwaggerDoc()
	return resource.Define(resource.Definition[*admissionv1.MutatingAdmissionPolicyBinding]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingAdmissionPolicyBinding", Plural: "mutatingadmissionpolicybindings",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
		Validate: validateMutatingBinding, ValidateUpdate: validateMutatingBindingUpdate,
		Default: func(b *admissionv1.MutatingAdmissionPolicyBinding) { defaultMatch(b.Spec.MatchResources) },
		Columns: []resource.Column[*admissionv1.MutatingAdmissionPolicyBinding]{
			resource.Name[*admissionv1.MutatingAdmissionPolicyBinding](),
			resource.Text("PolicyName", doc["policyName"], func(b *admissionv1.MutatingAdmissionPolicyBinding) string { return b.Spec.PolicyName }),
			resource.Text("ParamRef", doc["paramRef"], func(b *admissionv1.MutatingAdmissionPolicyBinding) string { return paramRef(b.Spec.ParamRef) }),
			resource.Age[*admissionv1.MutatingAdmissionPolicyBinding](),
		},
	})
}
