package rbac

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/apiserver/authz"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Escalation refuses to let users grant what they do not hold themselves, unless they may "escalate" roles or "bind" the
// role in question. https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
type Escalation struct {
	Rules *Authorizer
	// Authorizer answers whether the user may escalate or bind.
	Authorizer request.Authorizer
}

// Role checks a Role or ClusterRole that is created or changed; old is nil on create.
func (e *Escalation) Role(ctx context.Context, r *resource.Request, obj, old resource.Object) error {
	// Even a change of labels is checked: it may have a role gathered into others.
	if old != nil && sameForGrants(obj, old) {
		return nil
	}
	rules, aggregation := roleRules(obj)
	if old != nil && aggregation == nil {
		_, aggregation = roleRules(old)
	}
	kind := pluralOf(obj)
	info := request.Info{IsResource: true, Group: rbacv1.GroupName, Version: "v1", Resource: kind, Verb: "escalate", Namespace: obj.GetNamespace(), Name: obj.GetName()}
	if e.allowed(ctx, r.User, info) {
		return nil
	}
	if aggregation != nil && !e.holdsEverything(r.User) {
		return e.forbidden(kind, obj.GetName(), fmt.Errorf("must have cluster-admin privileges to use an aggregationRule"))
	}
	return e.check(kind, obj.GetName(), r.User, obj.GetNamespace(), rules)
}

// sameForGrants says whether a change is only one of what the garbage collector reads.
func sameForGrants(obj, old resource.Object) bool {
	copied, ok := obj.DeepCopyObject().(resource.Object)
	if !ok {
		return false
	}
	copied.SetOwnerReferences(old.GetOwnerReferences())
	copied.SetFinalizers(old.GetFinalizers())
	copied.SetManagedFields(old.GetManagedFields())
	copied.SetResourceVersion(old.GetResourceVersion())
	copied.SetGeneration(old.GetGeneration())
	return equality.Semantic.DeepEqual(copied, old)
}

// Binding checks a RoleBinding or ClusterRoleBinding that is created or changed; old is nil on create.
func (e *Escalation) Binding(ctx context.Context, r *resource.Request, obj, old resource.Object) error {
	subjects, ref := bindingOf(obj)
	if old != nil {
		before, _ := bindingOf(old)
		if slices.Equal(before, subjects) {
			return nil
		}
	}
	kind := pluralOf(obj)
	plural := "roles"
	if ref.Kind == "ClusterRole" {
		plural = "clusterroles"
	}
	info := request.Info{IsResource: true, Group: rbacv1.GroupName, Version: "v1", Resource: plural, Verb: "bind", Namespace: obj.GetNamespace(), Name: ref.Name}
	if e.allowed(ctx, r.User, info) {
		return nil
	}
	rules, err := e.Rules.RoleRules(ref.Kind, ref.Name, obj.GetNamespace())
	if err != nil {
		if apierrors.IsNotFound(err) {
			return err
		}
		return apierrors.NewInternalError(err)
	}
	return e.check(kind, obj.GetName(), r.User, obj.GetNamespace(), rules)
}

func (e *Escalation) allowed(ctx context.Context, user resource.User, info request.Info) bool {
	if slices.Contains(user.Groups, authz.Masters) {
		return true
	}
	decision, _, _ := e.Authorizer.Authorize(ctx, &info, user) // what cannot be looked up is not allowed
	return decision == request.Allow
}

func (e *Escalation) holdsEverything(user resource.User) bool {
	all := []string{"*"}
	held, _ := e.Rules.PolicyRules(user, "") // unresolvable roles grant nothing
	return len(Uncovered(held, []rbacv1.PolicyRule{{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all}})) == 0
}

func (e *Escalation) check(plural, name string, user resource.User, namespace string, rules []rbacv1.PolicyRule) error {
	held, lookupErr := e.Rules.PolicyRules(user, namespace)
	missing := Uncovered(held, rules)
	if len(missing) == 0 {
		return nil
	}
	compact := make([]string, 0, len(missing))
	missing = united(missing)
	for i := range missing {
		compact = append(compact, describe(&missing[i]))
	}
	slices.Sort(compact)
	message := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s", user.Name, user.Groups, strings.Join(compact, "\n"))
	if lookupErr != nil {
		message += fmt.Sprintf("; resolution errors: %v", lookupErr)
	}
	return e.forbidden(plural, name, fmt.Errorf("%s", message))
}

func (e *Escalation) forbidden(plural, name string, err error) error {
	return apierrors.NewForbidden(rbacv1.Resource(plural), name, err)
}

// united gathers single permissions that differ in nothing but the verb.
func united(singles []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var all []rbacv1.PolicyRule
	for _, single := range singles {
		at := slices.IndexFunc(all, func(r rbacv1.PolicyRule) bool {
			return slices.Equal(r.APIGroups, single.APIGroups) && slices.Equal(r.Resources, single.Resources) &&
				slices.Equal(r.ResourceNames, single.ResourceNames) && slices.Equal(r.NonResourceURLs, single.NonResourceURLs)
		})
		if at < 0 {
			all = append(all, single)
			continue
		}
		all[at].Verbs = append(slices.Clip(all[at].Verbs), single.Verbs...)
	}
	return all
}

// describe writes a rule as upstream's message does: {APIGroups:[""], Resources:["pods"], Verbs:["get"]}.
func describe(rule *rbacv1.PolicyRule) string {
	var parts []string
	for _, part := range []struct {
		name   string
		values []string
	}{{"APIGroups", rule.APIGroups}, {"Resources", rule.Resources}, {"NonResourceURLs", rule.NonResourceURLs}, {"ResourceNames", rule.ResourceNames}, {"Verbs", rule.Verbs}} {
		if len(part.values) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", part.name, part.values))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func pluralOf(obj resource.Object) string {
	switch obj.(type) {
	case *rbacv1.ClusterRole:
		return "clusterroles"
	case *rbacv1.Role:
		return "roles"
	case *rbacv1.ClusterRoleBinding:
		return "clusterrolebindings"
	}
	return "rolebindings"
}

func roleRules(obj resource.Object) ([]rbacv1.PolicyRule, *rbacv1.AggregationRule) {
	switch role := obj.(type) {
	case *rbacv1.ClusterRole:
		return role.Rules, role.AggregationRule
	case *rbacv1.Role:
		return role.Rules, nil
	}
	return nil, nil
}

func bindingOf(obj resource.Object) ([]rbacv1.Subject, rbacv1.RoleRef) {
	switch b := obj.(type) {
	case *rbacv1.ClusterRoleBinding:
		return b.Subjects, b.RoleRef
	case *rbacv1.RoleBinding:
		return b.Subjects, b.RoleRef
	}
	return nil, rbacv1.RoleRef{}
}
