// Package rbac is role-based access control: who is bound to which roles, and what these permit. Bindings are indexed by
// their subjects, so a decision looks at the bindings of one user and the user's groups, not at all there are.
package rbac

import (
	"context"
	"errors"
	"fmt"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	informers "k8s.io/client-go/informers/rbac/v1"
	listers "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Authorizer decides by the Roles, ClusterRoles and their bindings in the API. It never denies: rules only add up.
type Authorizer struct {
	informers    informers.Interface
	clusterRoles listers.ClusterRoleLister
	roles        listers.RoleLister

	mu sync.RWMutex
	// bindings is guarded by mu: by namespace ("" for ClusterRoleBindings), then by subject. A namespace that is
	// missing is indexed when it is asked for next.
	bindings map[string]map[subject][]binding
}

// subject is a user or group. Service accounts are the users that they authenticate as.
type subject struct {
	group bool
	name  string
}

// binding gives a subject a role.
type binding struct {
	// described is the subject as people should read it: `Group "dev"`.
	described      string
	kind, name     string // of the binding; name is "name/namespace" for RoleBindings
	roleKind, role string
	namespace      string
}

// New returns an Authorizer on shared informers. The caller starts them; Synced says when decisions are complete.
func New(shared informers.Interface) (*Authorizer, error) {
	a := &Authorizer{informers: shared, bindings: map[string]map[subject][]binding{}}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    a.forget,
		UpdateFunc: func(_, obj any) { a.forget(obj) },
		DeleteFunc: a.forget,
	}
	for _, informer := range []cache.SharedIndexInformer{shared.ClusterRoleBindings().Informer(), shared.RoleBindings().Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return nil, fmt.Errorf("rbac: %w", err)
		}
	}
	a.clusterRoles, a.roles = shared.ClusterRoles().Lister(), shared.Roles().Lister()
	return a, nil
}

// Synced says whether all four kinds have been read once.
func (a *Authorizer) Synced() bool {
	return a.informers.ClusterRoleBindings().Informer().HasSynced() && a.informers.RoleBindings().Informer().HasSynced() &&
		a.informers.ClusterRoles().Informer().HasSynced() && a.informers.Roles().Informer().HasSynced()
}

// forget drops the index of a changed binding's namespace.
func (a *Authorizer) forget(obj any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return // an object without metadata cannot come from these informers
	}
	namespace, _, _ := cache.SplitMetaNamespaceKey(key)
	a.mu.Lock()
	delete(a.bindings, namespace)
	a.mu.Unlock()
}

// Authorize is request.Authorizer.
func (a *Authorizer) Authorize(ctx context.Context, info *request.Info, user resource.User) (request.Decision, string, error) {
	reason := ""
	err := a.visit(user, info.Namespace, func(b *binding, rule *rbacv1.PolicyRule) bool {
		if Allows(rule, info) {
			reason = fmt.Sprintf("RBAC: allowed by %s %q of %s %q to %s", b.kind, b.name, b.roleKind, b.role, b.described)
			return false
		}
		return true
	})
	if reason != "" {
		return request.Allow, reason, nil
	}
	if err != nil {
		return request.NoOpinion, fmt.Sprintf("RBAC: %v", err), nil
	}
	return request.NoOpinion, "", nil
}

// Rules is request.RuleLister.
func (a *Authorizer) Rules(ctx context.Context, user resource.User, namespace string) (resources []request.ResourceRule, paths []request.PathRule, incomplete bool, err error) {
	err = a.visit(user, namespace, func(_ *binding, rule *rbacv1.PolicyRule) bool {
		if len(rule.Resources) > 0 {
			resources = append(resources, request.ResourceRule{Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames})
		}
		if len(rule.NonResourceURLs) > 0 {
			paths = append(paths, request.PathRule{Verbs: rule.Verbs, Paths: rule.NonResourceURLs})
		}
		return true
	})
	return resources, paths, err != nil, err
}

// PolicyRules returns all that a user may do in a namespace ("" for the whole cluster), for escalation checks.
func (a *Authorizer) PolicyRules(user resource.User, namespace string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	err := a.visit(user, namespace, func(_ *binding, rule *rbacv1.PolicyRule) bool {
		rules = append(rules, *rule)
		return true
	})
	return rules, err
}

// visit calls f with each rule that binds the user, cluster-wide ones first, until f returns false.
// The error names the roles that could not be found.
func (a *Authorizer) visit(user resource.User, namespace string, f func(*binding, *rbacv1.PolicyRule) bool) error {
	var errs []error
	scopes := []string{""}
	if namespace != "" {
		scopes = append(scopes, namespace)
	}
	for _, scope := range scopes {
		index := a.index(scope)
		for i := -1; i < len(user.Groups); i++ {
			s := subject{name: user.Name}
			if i >= 0 {
				s = subject{group: true, name: user.Groups[i]}
			}
			bound := index[s]
			for j := range bound {
				rules, err := a.RoleRules(bound[j].roleKind, bound[j].role, scope)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				for k := range rules {
					if !f(&bound[j], &rules[k]) {
						return nil
					}
				}
			}
		}
	}
	return errors.Join(errs...)
}

// RoleRules returns the rules of a Role in a namespace or of a ClusterRole.
func (a *Authorizer) RoleRules(kind, name, namespace string) ([]rbacv1.PolicyRule, error) {
	switch kind {
	case "ClusterRole":
		role, err := a.clusterRoles.Get(name)
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	case "Role":
		role, err := a.roles.Roles(namespace).Get(name)
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("unsupported role reference kind: %q", kind))
}

// index returns the bindings of a namespace by subject, building them if they have changed.
func (a *Authorizer) index(namespace string) map[subject][]binding {
	a.mu.RLock()
	index, ok := a.bindings[namespace]
	a.mu.RUnlock()
	if ok {
		return index
	}
	if namespace != "" && !a.bound(namespace) {
		return nil // and nothing is kept of it: clients may ask for any name
	}
	// The lock is held while building, so that a change during it is not lost: forget waits and then drops the index.
	a.mu.Lock()
	defer a.mu.Unlock()
	index = a.build(namespace)
	a.bindings[namespace] = index
	return index
}

// bound says whether a namespace has any RoleBinding.
func (a *Authorizer) bound(namespace string) bool {
	some, err := a.informers.RoleBindings().Lister().RoleBindings(namespace).List(labels.Everything())
	return err == nil && len(some) > 0 // listers of informers do not fail
}

func (a *Authorizer) build(namespace string) map[subject][]binding {
	index := map[subject][]binding{}
	if namespace == "" {
		all, err := a.informers.ClusterRoleBindings().Lister().List(labels.Everything())
		if err != nil {
			return index // listers of informers do not fail
		}
		for _, b := range all {
			add(index, b.Subjects, binding{kind: "ClusterRoleBinding", name: b.Name, roleKind: b.RoleRef.Kind, role: b.RoleRef.Name})
		}
		return index
	}
	all, err := a.informers.RoleBindings().Lister().RoleBindings(namespace).List(labels.Everything())
	if err != nil {
		return index
	}
	for _, b := range all {
		add(index, b.Subjects, binding{
			kind: "RoleBinding", name: b.Name + "/" + b.Namespace, namespace: b.Namespace, roleKind: b.RoleRef.Kind, role: b.RoleRef.Name,
		})
	}
	return index
}

func add(index map[subject][]binding, subjects []rbacv1.Subject, b binding) {
	for _, s := range subjects {
		key := subject{name: s.Name}
		b.described = fmt.Sprintf("%s %q", s.Kind, s.Name)
		switch s.Kind {
		case rbacv1.GroupKind:
			key.group = true
		case rbacv1.ServiceAccountKind:
			namespace := s.Namespace
			if namespace == "" {
				namespace = b.namespace
			}
			if namespace == "" {
				continue
			}
			key.name = "system:serviceaccount:" + namespace + ":" + s.Name
			b.described = fmt.Sprintf("%s %q", s.Kind, s.Name+"/"+namespace)
		}
		index[key] = append(index[key], b)
	}
}
