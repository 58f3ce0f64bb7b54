package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/resource"
)

// ValidatingAdmissionPolicies is all that the server knows about ValidatingAdmissionPolicies.
func ValidatingAdmissionPolicies() *resource.Kind {
	return resource.Define(resource.Definition[*admissionv1.ValidatingAdmissionPolicy]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicy", Plural: "validatingadmissionpolicies",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
		Views: []resource.View[*admissionv1.ValidatingAdmissionPolicy]{{Name: "status"}},
	})
}
