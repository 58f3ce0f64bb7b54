package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/resource"
)

// MutatingAdmissionPolicies is all that the server knows about MutatingAdmissionPolicies.
func MutatingAdmissionPolicies() *resource.Kind {
	return resource.Define(resource.Definition[*admissionv1.MutatingAdmissionPolicy]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingAdmissionPolicy", Plural: "mutatingadmissionpolicies",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
	})
}
