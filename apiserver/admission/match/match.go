// Package match says which requests webhooks and admission policies are asked about (rules, selectors, equivalent resources, match
// conditions), and shows a request in the version that they want to see.
package match

import (
	"context"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
)

// World is what a request is seen in: the served resources with their objects, and who may do what.
type World struct {
	Resources  *rest.Registry
	Authorizer request.Authorizer
}

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// NamespaceOf is the namespace of a request as webhooks and policies know it: for a Namespace itself it is its name.
func NamespaceOf(a *admission.Attributes) string {
	if a.Resource == namespaces {
		return a.Name
	}
	return a.Namespace
}

// Namespace finds a namespace; NotFound only if etcd does not have it either.
func (w *World) Namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	if name == "" {
		return nil, apierrors.NewNotFound(namespaces.GroupResource(), name)
	}
	open, key := w.Resources.Get(namespaces).Open(), store.Key{Name: name}
	item, err := open.Get(ctx, key, "0")
	if apierrors.IsNotFound(err) {
		item, err = open.Get(ctx, key, "")
	}
	if err != nil {
		return nil, err
	}
	return item.Object.(*corev1.Namespace), nil
}

// Criteria select requests. The zero value selects none.
type Criteria struct {
	// Rules, one of which must match, and Excluded, none of which may. Names are looked at only where there are some.
	Rules, Excluded []admissionv1.NamedRuleWithOperations
	// Anything matches where there are no Rules: bindings need not have some.
	Anything bool
	// Equivalent: a rule for another version of the resource matches too, and what matches sees the object in that version.
	Equivalent bool
	// Namespaces and Objects must match the labels; nil: all.
	Namespaces, Objects labels.Selector
	// Err is why the criteria cannot be used.
	Err error
}

// Hit is what a request is to those whom it matches.
type Hit struct {
	Resource schema.GroupVersionResource
	Kind     schema.GroupVersionKind
}

// OfPolicy reads the criteria of a policy or binding; what is nil there is an error here, since the API fills it in.
func OfPolicy(m *admissionv1.MatchResources) Criteria {
	c := Criteria{
		Rules: m.ResourceRules, Excluded: m.ExcludeResourceRules, Anything: len(m.ResourceRules) == 0,
		Equivalent: m.MatchPolicy != nil && *m.MatchPolicy == admissionv1.Equivalent,
	}
	c.selectors(m.NamespaceSelector, m.ObjectSelector)
	return c
}

// OfWebhook reads the criteria of a webhook.
func OfWebhook(rules []admissionv1.RuleWithOperations, policy *admissionv1.MatchPolicyType, namespaces, objects *metav1.LabelSelector) Criteria {
	c := Criteria{Equivalent: policy != nil && *policy == admissionv1.Equivalent}
	for _, rule := range rules {
		c.Rules = append(c.Rules, admissionv1.NamedRuleWithOperations{RuleWithOperations: rule})
	}
	c.selectors(namespaces, objects)
	return c
}

// selectors parses both; an empty one is left out. A missing one selects nothing.
func (c *Criteria) selectors(ofNamespaces, ofObjects *metav1.LabelSelector) {
	for _, s := range []struct {
		from *metav1.LabelSelector
		into *labels.Selector
	}{{ofNamespaces, &c.Namespaces}, {ofObjects, &c.Objects}} {
		selector, err := metav1.LabelSelectorAsSelector(s.from)
		if err != nil {
			c.Err = err
		} else if !selector.Empty() {
			*s.into = selector
		}
	}
}

// Match says whether a request is meant, and as what. The cheap questions come first; a namespace that is not there is an error only if
// everything else matches.
func (c *Criteria) Match(ctx context.Context, w *World, a *admission.Attributes) (Hit, bool, error) {
	hit, found := c.byRules(c.Rules, w, a)
	if !found && !c.Anything {
		return Hit{}, false, nil
	}
	if !found {
		hit = Hit{a.Resource, a.Kind}
	}
	if _, excluded := c.byRules(c.Excluded, w, a); excluded {
		return Hit{}, false, nil
	}
	if c.Err != nil {
		return Hit{}, false, apierrors.NewInternalError(c.Err)
	}
	if c.Objects != nil && !carries(a.Object, c.Objects) && !carries(a.OldObject, c.Objects) {
		return Hit{}, false, nil
	}
	inside, err := c.inNamespace(ctx, w, a)
	return hit, inside && err == nil, err
}

func carries(obj runtime.Object, selector labels.Selector) bool {
	if obj == nil {
		return false
	}
	accessor, err := meta.Accessor(obj)
	return err == nil && selector.Matches(labels.Set(accessor.GetLabels()))
}

// inNamespace looks at the labels of the request's namespace; what is in none always matches.
func (c *Criteria) inNamespace(ctx context.Context, w *World, a *admission.Attributes) (bool, error) {
	name := NamespaceOf(a)
	if c.Namespaces == nil || name == "" && a.Resource != namespaces {
		return true, nil
	}
	// A namespace that is being written is as it will be.
	if written, ok := a.Object.(*corev1.Namespace); ok && a.Subresource == "" && (a.Operation == admission.Create || a.Operation == admission.Update) {
		return c.Namespaces.Matches(labels.Set(written.Labels)), nil
	}
	namespace, err := w.Namespace(ctx, name)
	if apierrors.IsNotFound(err) {
		return false, err
	}
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	return c.Namespaces.Matches(labels.Set(namespace.Labels)), nil
}

// byRules finds the first rule for the request, or else for one of the other forms of its resource.
func (c *Criteria) byRules(rules []admissionv1.NamedRuleWithOperations, w *World, a *admission.Attributes) (Hit, bool) {
	for i := range rules {
		if Rule(&rules[i], a, a.Resource) {
			return Hit{a.Resource, a.Kind}, true
		}
	}
	if !c.Equivalent || len(rules) == 0 {
		return Hit{}, false
	}
	others := w.Resources.All().Equivalent(a.Resource, a.Subresource)
	for i := range rules {
		for _, other := range others {
			if Rule(&rules[i], a, other.Kind.Resource) {
				return Hit{other.Kind.Resource, other.BodyKind(a.Subresource)}, true
			}
		}
	}
	return Hit{}, false
}

// Rule says whether a rule is about a request, taken as one to the given resource.
func Rule(r *admissionv1.NamedRuleWithOperations, a *admission.Attributes, gvr schema.GroupVersionResource) bool {
	return has(r.APIGroups, gvr.Group) && has(r.APIVersions, gvr.Version) &&
		(slices.Contains(r.Operations, admissionv1.OperationAll) || slices.Contains(r.Operations, admissionv1.OperationType(a.Operation))) &&
		inScope(r.Scope, a, gvr) && slices.ContainsFunc(r.Resources, func(name string) bool { return names(name, gvr.Resource, a.Subresource) }) &&
		(len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, a.Name))
}

func has(list []string, item string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, item)
}

func inScope(scope *admissionv1.ScopeType, a *admission.Attributes, gvr schema.GroupVersionResource) bool {
	if scope == nil || *scope == admissionv1.AllScopes {
		return true
	}
	inside := gvr != namespaces && NamespaceOf(a) != ""
	return inside == (*scope == admissionv1.NamespacedScope)
}

// names says whether an entry of a rule ("pods", "pods/log", "*/scale", "*") means a resource and subresource.
func names(entry, resource, subresource string) bool {
	of, sub, _ := strings.Cut(entry, "/")
	return (of == "*" || of == resource) && (sub == "*" || sub == subresource)
}

// Exempt says that a request is about what configures admission. Webhooks and policies are not asked about it, since else a wrong one
// could not be put right.
func Exempt(a *admission.Attributes) bool {
	return a.Resource.Group == "admissionregistration.k8s.io"
}
