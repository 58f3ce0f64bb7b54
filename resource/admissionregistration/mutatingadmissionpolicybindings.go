package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/resource"
)

// MutatingAdmissionPolicyBindings is all that the server knows about MutatingAdmissionPolicyBindings.
func MutatingAdmissionPolicyBindings() *resource.Kind {
	return resource.Define(resource.Definition[*admissionv1.MutatingAdmissionPolicyBinding]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingAdmissionPolicyBinding", Plural: "mutatingadmissionpolicybindings",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
	})
}
