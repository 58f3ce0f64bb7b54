package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// ValidatingWebhookConfigurations is all that the server knows about ValidatingWebhookConfigurations.
func ValidatingWebhookConfigurations() *resource.Kind {
	return resource.Define(resource.Definition[*admissionv1.ValidatingWebhookConfiguration]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfiguration", Plural: "validatingwebhookconfigurations",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
		Default:  defaultValidatingWebhooks,
		Validate: validateValidatingWebhooks, ValidateUpdate: validateValidatingWebhooksUpdate,
		Columns: []resource.Column[*admissionv1.ValidatingWebhookConfiguration]{
			resource.Name[*admissionv1.ValidatingWebhookConfiguration](),
			resource.Number("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration",
				func(c *admissionv1.ValidatingWebhookConfiguration) int64 { return int64(len(c.Webhooks)) }),
			resource.Age[*admissionv1.ValidatingWebhookConfiguration](),
		},
	})
}

func defaultValidatingWebhooks(config *admissionv1.ValidatingWebhookConfiguration) {
	for i := range config.Webhooks {
		defaultValidatingWebhook(&config.Webhooks[i])
	}
}

func defaultValidatingWebhook(hook *admissionv1.ValidatingWebhook) {
	setIfNil(&hook.FailurePolicy, admissionv1.Fail)
	setIfNil(&hook.MatchPolicy, admissionv1.Equivalent)
	setIfNil(&hook.NamespaceSelector, metav1.LabelSelector{})
	setIfNil(&hook.ObjectSelector, metav1.LabelSelector{})
	setIfNil(&hook.TimeoutSeconds, 10)
	if service := hook.ClientConfig.Service; service != nil {
		setIfNil(&service.Port, 443)
	}
	for i := range hook.Rules {
		setIfNil(&hook.Rules[i].Scope, admissionv1.AllScopes)
	}
}
