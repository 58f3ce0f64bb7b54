package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// MutatingWebhookConfigurations is all that the server knows about MutatingWebhookConfigurations.
func MutatingWebhookConfigurations() *resource.Kind {
	return resource.Define(resource.Definition[*admissionv1.MutatingWebhookConfiguration]{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingWebhookConfiguration", Plural: "mutatingwebhookconfigurations",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		Generation: true, RequireVersion: true,
		Default:  defaultMutatingWebhooks,
		Validate: validateMutatingWebhooks, ValidateUpdate: validateMutatingWebhooksUpdate,
		Columns: []resource.Column[*admissionv1.MutatingWebhookConfiguration]{
			resource.Name[*admissionv1.MutatingWebhookConfiguration](),
			resource.Number("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration",
				func(c *admissionv1.MutatingWebhookConfiguration) int64 { return int64(len(c.Webhooks)) }),
			resource.Age[*admissionv1.MutatingWebhookConfiguration](),
		},
	})
}

func defaultMutatingWebhooks(config *admissionv1.MutatingWebhookConfiguration) {
	for i := range config.Webhooks {
		defaultMutatingWebhook(&config.Webhooks[i])
	}
}

func defaultMutatingWebhook(hook *admissionv1.MutatingWebhook) {
	setIfNil(&hook.FailurePolicy, admissionv1.Fail)
	setIfNil(&hook.MatchPolicy, admissionv1.Equivalent)
	setIfNil(&hook.NamespaceSelector, metav1.LabelSelector{})
	setIfNil(&hook.ObjectSelector, metav1.LabelSelector{})
	setIfNil(&hook.TimeoutSeconds, 10)
	setIfNil(&hook.ReinvocationPolicy, admissionv1.NeverReinvocationPolicy)
	if service := hook.ClientConfig.Service; service != nil {
		setIfNil(&service.Port, 443)
	}
	for i := range hook.Rules {
		setIfNil(&hook.Rules[i].Scope, admissionv1.AllScopes)
	}
}
