package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/resource"
)

// ValidatingWebhookConfigurations is all that the server knows about ValidatingWebhookConfigurations.
func ValidatingWebhookConfigurations() *resource.Kind {
	return resource.Define(resource.Definition[*admissionv1.ValidatingWebhookConfiguration]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfiguration", Plural: "validatingwebhookconfigurations",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
	})
}
