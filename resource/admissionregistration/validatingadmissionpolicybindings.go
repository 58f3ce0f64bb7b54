package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/resource"
)

// ValidatingAdmissionPolicyBindings is all that the server knows about ValidatingAdmissionPolicyBindings.
func ValidatingAdmissionPolicyBindings() *resource.Kind {
	return resource.Define(resource.Definition[*admissionv1.ValidatingAdmissionPolicyBinding]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicyBinding", Plural: "validatingadmissionpolicybindings",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
	})
}
