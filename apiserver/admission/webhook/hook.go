// Package webhook asks programs outside of the server to change or refuse requests: MutatingAdmissionWebhook and
// ValidatingAdmissionWebhook. https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
package webhook

import (
	"context"
	"fmt"
	"sync"
	"time"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/expression"
)

// hook is one webhook of a configuration, compiled. It never changes.
type hook struct {
	name, configuration string
	// id tells it from all others, also from those of the same name in its configuration.
	id         string
	criteria   match.Criteria
	conditions func() (*expression.Compiler, match.Conditions) // compiled when first needed; nil if there are none
	failOpen   bool
	timeout    time.Duration // 0: as long as the request may take
	sideEffect registrationv1.SideEffectClass
	versions   []string
	reinvoke   bool
	kind       string // of admission, in metrics: "admit" or "validating"
	client     registrationv1.WebhookClientConfig
}

// mutatingHooks compiles a MutatingWebhookConfiguration.
func mutatingHooks(obj resource.Object) []*hook {
	config, ok := obj.(*registrationv1.MutatingWebhookConfiguration)
	if !ok {
		return nil
	}
	hooks := make([]*hook, 0, len(config.Webhooks))
	for i := range config.Webhooks {
		w := &config.Webhooks[i]
		h := newHook(config.Name, i, &registrationv1.ValidatingWebhook{
			Name: w.Name, ClientConfig: w.ClientConfig, Rules: w.Rules, FailurePolicy: w.FailurePolicy, MatchPolicy: w.MatchPolicy,
			NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector, SideEffects: w.SideEffects,
			TimeoutSeconds: w.TimeoutSeconds, AdmissionReviewVersions: w.AdmissionReviewVersions, MatchConditions: w.MatchConditions,
		})
		h.kind = "admit"
		h.reinvoke = w.ReinvocationPolicy != nil && *w.ReinvocationPolicy == registrationv1.IfNeededReinvocationPolicy
		hooks = append(hooks, h)
	}
	return hooks
}

// validatingHooks compiles a ValidatingWebhookConfiguration.
func validatingHooks(obj resource.Object) []*hook {
	config, ok := obj.(*registrationv1.ValidatingWebhookConfiguration)
	if !ok {
		return nil
	}
	hooks := make([]*hook, 0, len(config.Webhooks))
	for i := range config.Webhooks {
		h := newHook(config.Name, i, &config.Webhooks[i])
		h.kind = "validating"
		hooks = append(hooks, h)
	}
	return hooks
}

func newHook(configuration string, index int, w *registrationv1.ValidatingWebhook) *hook {
	h := &hook{
		name: w.Name, configuration: configuration, id: fmt.Sprintf("%s/%s/%d", configuration, w.Name, index), client: w.ClientConfig,
		criteria: match.OfWebhook(w.Rules, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector),
		failOpen: w.FailurePolicy != nil && *w.FailurePolicy == registrationv1.Ignore, versions: w.AdmissionReviewVersions,
	}
	if w.TimeoutSeconds != nil {
		h.timeout = time.Duration(*w.TimeoutSeconds) * time.Second
	}
	if w.SideEffects != nil {
		h.sideEffect = *w.SideEffects
	}
	if len(w.MatchConditions) > 0 {
		h.conditions = sync.OnceValues(func() (*expression.Compiler, match.Conditions) { return match.CompileConditions(w.MatchConditions) })
	}
	return h
}

// wanted says whether a hook is to be asked about a request, and as what. What is shown of the request is made at most once for each
// kind, by version.
func (h *hook) wanted(ctx context.Context, w *match.World, a *admission.Attributes, version func(match.Hit) (*match.Version, error)) (*match.Version, error) {
	hit, matches, err := h.criteria.Match(ctx, w, a)
	if err != nil || !matches {
		return nil, err
	}
	v, err := version(hit)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if h.conditions == nil {
		return v, nil
	}
	holds, err := h.holds(ctx, w, v)
	if err != nil || !holds {
		return nil, err
	}
	return v, nil
}

// holds evaluates the match conditions. When they cannot be, the failure policy decides: the request is refused, or the hook not asked.
func (h *hook) holds(ctx context.Context, w *match.World, v *match.Version) (bool, error) {
	begun := time.Now()
	defer func() { observeConditions(h, v.Attributes, time.Since(begun)) }()
	compiler, conditions := h.conditions()
	input, err := w.Input(v, w.Asker(), nil, nil)
	holds := false
	if err == nil {
		holds, err = conditions.Hold(compiler.Run(ctx, input))
	}
	switch {
	case err == nil:
		if !holds {
			conditionExclusions.WithLabelValues(h.name, "webhook", conditionKind(h), string(v.Operation)).Inc()
		}
		return holds, nil
	case h.failOpen:
		conditionErrors.WithLabelValues(h.name, "webhook", conditionKind(h), string(v.Operation)).Inc()
		return false, nil
	}
	conditionErrors.WithLabelValues(h.name, "webhook", conditionKind(h), string(v.Operation)).Inc()
	return false, apierrors.NewForbidden(v.Attributes.Resource.GroupResource(), v.Name, err)
}
