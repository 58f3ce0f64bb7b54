// Package admissionregistration holds webhook configurations and admission policies.
package admissionregistration

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		MutatingAdmissionPolicies(),
		MutatingAdmissionPolicyBindings(),
		MutatingWebhookConfigurations(),
		ValidatingAdmissionPolicies(),
		ValidatingAdmissionPolicyBindings(),
		ValidatingWebhookConfigurations(),
	}
}
