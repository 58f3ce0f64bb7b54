package webhook

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/compiled"
	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// hooks are all webhooks of one kind of configuration, in order of the configurations' names.
type hooks struct {
	world   *match.World
	clients *Clients
	list    compiled.List[[]*hook]
}

func newHooks(w *match.World, c *Clients, plural string, compile func(resource.Object) []*hook) *hooks {
	gvr := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: plural}
	open := sync.OnceValue(func() store.Store { return w.Resources.Get(gvr).Open() })
	return &hooks{world: w, clients: c, list: compiled.List[[]*hook]{Open: open, Make: compile}}
}

// Mutating is the plug-in MutatingAdmissionWebhook.
func Mutating(w *match.World, c *Clients) admission.Plugin {
	h := newHooks(w, c, "mutatingwebhookconfigurations", mutatingHooks)
	return admission.Plugin{Admit: h.admit}
}

// Validating is the plug-in ValidatingAdmissionWebhook.
func Validating(w *match.World, c *Clients) admission.Plugin {
	h := newHooks(w, c, "validatingwebhookconfigurations", validatingHooks)
	return admission.Plugin{Validate: h.validate}
}

// get returns the configurations' webhooks; none for requests about what configures admission itself, so that nobody can lock
// themselves out.
func (h *hooks) get(ctx context.Context, a *admission.Attributes) ([][]*hook, error) {
	all, err := h.list.Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("webhook configurations: %w", err)
	}
	if len(all) == 0 || match.Exempt(a) {
		return nil, nil
	}
	return all, nil
}
