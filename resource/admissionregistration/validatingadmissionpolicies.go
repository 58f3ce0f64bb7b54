package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/resource"
)

// ValidatingAdmissionPolicies is all that the server knows about ValidatingAdmissionPolicies.
func ValidatingAdmissionPolicies() *resource.Kind {
	doc := admissionv1.ValidatingAdmissionPolicySpec{}.SwaggerDoc()
	return resource.Define(resource.Definition[*admissionv1.ValidatingAdmissionPolicy]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicy", Plural: "validatingadmissionpolicies",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
		Validate: validatePolicy, ValidateUpdate: validatePolicyUpdate,
		Default: func(p *admissionv1.ValidatingAdmissionPolicy) {
			setIfNil(&p.Spec.FailurePolicy, admissionv1.Fail)
			defaultMatch(p.Spec.MatchConstraints)
		},
		Views: []resource.View[*admissionv1.ValidatingAdmissionPolicy]{{Name: "status"}},
		Columns: []resource.Column[*admissionv1.ValidatingAdmissionPolicy]{
			resource.Name[*admissionv1.ValidatingAdmissionPolicy](),
			resource.Number("Validations", "Validations indicates the number of validation rules defined in this configuration",
				func(p *admissionv1.ValidatingAdmissionPolicy) int64 { return int64(len(p.Spec.Validations)) }),
			resource.Text("ParamKind", doc["paramKind"], func(p *admissionv1.ValidatingAdmissionPolicy) string { return paramKind(p.Spec.ParamKind) }),
			resource.Age[*admissionv1.ValidatingAdmissionPolicy](),
		},
	})
}
