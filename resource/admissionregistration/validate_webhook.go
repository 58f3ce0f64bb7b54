package admissionregistration

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateValidatingWebhooks(_ *resource.Request, c *admissionv1.ValidatingWebhookConfiguration) field.ErrorList {
	return webhooks(c.Webhooks, nil)
}

func validateValidatingWebhooksUpdate(_ *resource.Request, c, old *admissionv1.ValidatingWebhookConfiguration) field.ErrorList {
	var before []string
	for i := range old.Webhooks {
		before = append(before, conditionsIn(old.Webhooks[i].MatchConditions)...)
	}
	return webhooks(c.Webhooks, before)
}

// validateMutatingWebhooks: a webhook that changes objects has all that one has which only looks at them.
func validateMutatingWebhooks(_ *resource.Request, c *admissionv1.MutatingWebhookConfiguration) field.ErrorList {
	return mutatingWebhooks(c, nil)
}

func mutatingWebhooks(c *admissionv1.MutatingWebhookConfiguration, before []string) field.ErrorList {
	hooks := make([]admissionv1.ValidatingWebhook, len(c.Webhooks))
	var errs field.ErrorList
	for i, h := range c.Webhooks {
		hooks[i] = admissionv1.ValidatingWebhook{
			Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, MatchPolicy: h.MatchPolicy,
			NamespaceSelector: h.NamespaceSelector, ObjectSelector: h.ObjectSelector, SideEffects: h.SideEffects,
			TimeoutSeconds: h.TimeoutSeconds, AdmissionReviewVersions: h.AdmissionReviewVersions, MatchConditions: h.MatchConditions,
		}
		errs = append(errs, core.OneOfIfSet(h.ReinvocationPolicy, field.NewPath("webhooks").Index(i).Child("reinvocationPolicy"),
			admissionv1.IfNeededReinvocationPolicy, admissionv1.NeverReinvocationPolicy)...)
	}
	return append(webhooks(hooks, before), errs...)
}

func validateMutatingWebhooksUpdate(_ *resource.Request, c, old *admissionv1.MutatingWebhookConfiguration) field.ErrorList {
	var before []string
	for i := range old.Webhooks {
		before = append(before, conditionsIn(old.Webhooks[i].MatchConditions)...)
	}
	return mutatingWebhooks(c, before)
}

// webhooks checks all of a configuration; before are expressions that stood in it already.
func webhooks(hooks []admissionv1.ValidatingWebhook, before []string) field.ErrorList {
	e := newExpressions(false, before)
	path := field.NewPath("webhooks")
	var errs field.ErrorList
	for i := range hooks {
		errs = append(errs, reviewVersions(hooks[i].AdmissionReviewVersions, path.Index(i).Child("admissionReviewVersions"))...)
		errs = append(errs, webhook(&hooks[i], e, path.Index(i))...)
		if slices.ContainsFunc(hooks[:i], func(h admissionv1.ValidatingWebhook) bool { return h.Name == hooks[i].Name }) {
			errs = append(errs, field.Duplicate(path.Index(i).Child("name"), hooks[i].Name))
		}
	}
	return errs
}

func reviewVersions(list []string, path *field.Path) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(path, "must specify one of v1, v1beta1")}
	}
	var errs field.ErrorList
	for i, version := range list {
		if slices.Contains(list[:i], version) {
			errs = append(errs, field.Invalid(path.Index(i), version, "duplicate version"))
			continue
		}
		errs = append(errs, core.InvalidEach(path.Index(i), version, validation.IsDNS1035Label(version))...)
	}
	if !slices.Contains(list, "v1") && !slices.Contains(list, "v1beta1") {
		errs = append(errs, field.Invalid(path, list, "must include at least one of v1, v1beta1"))
	}
	return errs
}

// maxTimeout is how long a webhook may take, in seconds.
const maxTimeout = 30

func webhook(h *admissionv1.ValidatingWebhook, e *expressions, at *field.Path) field.ErrorList {
	errs := validation.IsFullyQualifiedName(at.Child("name"), h.Name)
	for i := range h.Rules {
		errs = append(errs, rule(&h.Rules[i], at.Child("rules").Index(i))...)
	}
	errs = append(errs, core.OneOfIfSet(h.FailurePolicy, at.Child("failurePolicy"), admissionv1.Fail, admissionv1.Ignore)...)
	errs = append(errs, core.OneOfIfSet(h.MatchPolicy, at.Child("matchPolicy"), admissionv1.Equivalent, admissionv1.Exact)...)
	if h.SideEffects == nil {
		errs = append(errs, field.Required(at.Child("sideEffects"), "must specify one of None, NoneOnDryRun"))
	}
	errs = append(errs, core.OneOfIfSet(h.SideEffects, at.Child("sideEffects"), admissionv1.SideEffectClassNone, admissionv1.SideEffectClassNoneOnDryRun)...)
	if s := h.TimeoutSeconds; s != nil && (*s < 1 || *s > maxTimeout) {
		errs = append(errs, field.Invalid(at.Child("timeoutSeconds"), *s, "the timeout value must be between 1 and 30 seconds"))
	}
	errs = append(errs, core.LabelSelector(h.NamespaceSelector, at.Child("namespaceSelector"))...)
	errs = append(errs, core.LabelSelector(h.ObjectSelector, at.Child("objectSelector"))...)
	errs = append(errs, clientConfig(&h.ClientConfig, at.Child("clientConfig"))...)
	return append(errs, e.conditions(h.MatchConditions, at.Child("matchConditions"))...)
}

func rule(r *admissionv1.RuleWithOperations, path *field.Path) field.ErrorList {
	at := path.Child("operations")
	errs := listOrAll(r.Operations, "operations", at)
	for i, operation := range r.Operations {
		errs = append(errs, core.OneOfIfSet(&operation, at.Index(i),
			admissionv1.OperationAll, admissionv1.Connect, admissionv1.Create, admissionv1.Delete, admissionv1.Update)...)
	}
	errs = append(errs, listOrAll(r.APIGroups, "API groups", path.Child("apiGroups"))...)
	errs = append(errs, listOrAll(r.APIVersions, "API versions", path.Child("apiVersions"))...)
	for i, version := range r.APIVersions {
		if version == "" {
			errs = append(errs, field.Required(path.Child("apiVersions").Index(i), ""))
		}
	}
	errs = append(errs, ruleResources(r.Resources, path.Child("resources"))...)
	return append(errs, core.OneOfIfSet(r.Scope, path.Child("scope"), admissionv1.AllScopes, admissionv1.ClusterScope, admissionv1.NamespacedScope)...)
}

// listOrAll demands a list, or a star alone.
func listOrAll[S ~string](list []S, what string, at *field.Path) field.ErrorList {
	switch {
	case len(list) == 0:
		return field.ErrorList{field.Required(at, "")}
	case len(list) > 1 && slices.Contains(list, "*"):
		return field.ErrorList{field.Invalid(at, list, "if '*' is present, must not specify other "+what)}
	}
	return nil
}

// ruleResources refuses lists in which one entry says what another has said already.
func ruleResources(list []string, path *field.Path) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	allSubs, everySub := map[string]bool{}, map[string]bool{}
	plain := 0
	for i, name := range list {
		if name == "" {
			errs = append(errs, field.Required(path.Index(i), ""))
			continue
		}
		kind, sub, isSub := strings.Cut(name, "/")
		switch {
		case !isSub:
			plain++
		case allSubs[kind]:
			errs = append(errs, field.Invalid(path.Index(i), name, "if '"+kind+"/*' is present, must not specify "+name))
		case everySub[sub]:
			errs = append(errs, field.Invalid(path.Index(i), name, "if '*/"+sub+"' is present, must not specify "+name))
		}
		allSubs[kind] = allSubs[kind] || sub == "*"
		everySub[sub] = everySub[sub] || isSub && kind == "*"
	}
	if len(list) > 1 && slices.Contains(list, "*/*") {
		errs = append(errs, field.Invalid(path, list, "if '*/*' is present, must not specify other resources"))
	}
	if plain > 1 && slices.Contains(list, "*") {
		errs = append(errs, field.Invalid(path, list, "if '*' is present, must not specify other resources without subresources"))
	}
	return errs
}
