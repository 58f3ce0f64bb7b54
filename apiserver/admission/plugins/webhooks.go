package plugins

import (
	"context"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/policy"
	"github.com/septet-io/septet/apiserver/admission/webhook"
	"github.com/septet-io/septet/apiserver/backend"
)

// webhookConfig is apiserver.config.k8s.io/v1 WebhookAdmissionConfiguration.
type webhookConfig struct {
	metav1.TypeMeta `json:",inline"`
	KubeConfigFile  string `json:"kubeConfigFile"`
}

// webhooks returns the clients for one of the two kinds of webhooks, which may have credentials of its own to show.
func (e *Env) webhooks(plugin string) (*webhook.Clients, error) {
	var config webhookConfig
	found, err := e.Config.Read(plugin, &config, "WebhookAdmissionConfiguration", "apiserver.config.k8s.io/v1")
	if err != nil {
		return nil, err
	}
	var shown webhook.Credentials
	if found && config.KubeConfigFile != "" {
		path := config.KubeConfigFile
		if !filepath.IsAbs(path) {
			path = filepath.Join(e.Config.Dir(plugin), path)
		}
		if shown, err = webhook.CredentialsFrom(path); err != nil {
			return nil, err
		}
	}
	return webhook.NewClients(func(ctx context.Context, namespace, name string, port int32) (string, error) {
		return backend.One(ctx, e.World.Resources, namespace, name, port)
	}, shown), nil
}

// mutatingWebhooks lets programs outside change requests.
func mutatingWebhooks(env *Env) (admission.Plugin, error) {
	clients, err := env.webhooks("MutatingAdmissionWebhook")
	return webhook.Mutating(env.World, clients), err
}

// validatingWebhooks lets programs outside refuse requests.
func validatingWebhooks(env *Env) (admission.Plugin, error) {
	clients, err := env.webhooks("ValidatingAdmissionWebhook")
	return webhook.Validating(env.World, clients), err
}

// mutatingPolicies let rules in the API change requests.
func mutatingPolicies(env *Env) (admission.Plugin, error) { return policy.Mutating(env.World), nil }

// validatingPolicies let rules in the API refuse requests.
func validatingPolicies(env *Env) (admission.Plugin, error) { return policy.Validating(env.World), nil }
