package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/resource"
)

// MutatingWebhookConfigurations is all that the server knows about MutatingWebhookConfigurations.
func MutatingWebhookConfigurations() *resource.Kind {
	return resource.Define(resource.Definition[*admissionv1.MutatingWebhookConfiguration]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingWebhookConfiguration", Plural: "mutatingwebhookconfigurations",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
	})
}
