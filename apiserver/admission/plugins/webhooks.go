package plugins

import (
	"context"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/policy"
	"github.com/septet-io/septet/apiserver/admission/webhook"
	"github.com/septet-io/septet/apiserver/backend"
)

// webhooks returns the clients that both kinds of webhooks share.
func (e *Env) webhooks() *webhook.Clients {
	if e.clients == nil {
		resolve := func(ctx context.Context, namespace, name string, port int32) (string, error) {
			return backend.One(ctx, e.World.Resources, namespace, name, port)
		}
		e.clients = webhook.NewClients(resolve, nil)
	}
	return e.clients
}

// mutatingWebhooks lets programs outside change requests.
func mutatingWebhooks(env *Env) (admission.Plugin, error) {
	return webhook.Mutating(env.World, env.webhooks()), nil
}

// validatingWebhooks lets programs outside refuse requests.
func validatingWebhooks(env *Env) (admission.Plugin, error) {
	return webhook.Validating(env.World, env.webhooks()), nil
}

// mutatingPolicies let rules in the API change requests.
func mutatingPolicies(env *Env) (admission.Plugin, error) { return policy.Mutating(env.World), nil }

// validatingPolicies let rules in the API refuse requests.
func validatingPolicies(env *Env) (admission.Plugin, error) { return policy.Validating(env.World), nil }
