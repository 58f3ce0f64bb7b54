package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/resource"
)

// MutatingAdmissionPolicies is all that the server knows about MutatingAdmissionPolicies.
func MutatingAdmissionPolicies() *resource.Kind {
	doc := admissionv1.MutatingAdmissionPolicySpec{}.SwaggerDoc()
	return resource.Define(resource.Definition[*admissionv1.MutatingAdmissionPolicy]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingAdmissionPolicy", Plural: "mutatingadmissionpolicies",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
		Validate: validateMutatingPolicy, ValidateUpdate: validateMutatingPolicyUpdate,
		Default: func(p *admissionv1.MutatingAdmissionPolicy) {
			setIfNil(&p.Spec.FailurePolicy, admissionv1.Fail)
			defaultMatch(p.Spec.MatchConstraints)
		},
		Columns: []resource.Column[*admissionv1.MutatingAdmissionPolicy]{
			resource.Name[*admissionv1.MutatingAdmissionPolicy](),
			resource.Number("Mutations", "Mutations indicates the number of mutations rules defined in this configuration",
				func(p *admissionv1.MutatingAdmissionPolicy) int64 { return int64(len(p.Spec.Mutations)) }),
			resource.Text("ParamKind", doc["paramKind"], func(p *admissionv1.MutatingAdmissionPolicy) string { return paramKind(p.Spec.ParamKind) }),
			resource.Age[*admissionv1.MutatingAdmissionPolicy](),
		},
	})
}
