package bootstrap

import (
	"context"
	"fmt"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/septet-io/septet/apiserver/authz/rbac"
)

// policySteps compares the policy with what is stored, in four lists, and returns the writes that are needed.
func policySteps(ctx context.Context, client kubernetes.Interface, policy *Policy) ([]step, error) {
	api := client.RbacV1()
	clusterRoles, err := api.ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list cluster roles: %w", err)
	}
	clusterBindings, err := api.ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list cluster role bindings: %w", err)
	}
	roles, err := api.Roles("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	bindings, err := api.RoleBindings("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list role bindings: %w", err)
	}
	steps := missing(policy.ClusterRoles, clusterRoles.Items, mergeClusterRole, writer[rbacv1.ClusterRole]{
		create: func(ctx context.Context, r *rbacv1.ClusterRole) error {
			_, err := api.ClusterRoles().Create(ctx, r, metav1.CreateOptions{})
			return err
		},
		update: func(ctx context.Context, r *rbacv1.ClusterRole) error {
			_, err := api.ClusterRoles().Update(ctx, r, metav1.UpdateOptions{})
			return err
		},
	})
	steps = append(steps, missing(policy.Roles, roles.Items, mergeRole, writer[rbacv1.Role]{
		create: func(ctx context.Context, r *rbacv1.Role) error {
			_, err := api.Roles(r.Namespace).Create(ctx, r, metav1.CreateOptions{})
			return err
		},
		update: func(ctx context.Context, r *rbacv1.Role) error {
			_, err := api.Roles(r.Namespace).Update(ctx, r, metav1.UpdateOptions{})
			return err
		},
	})...)
	steps = append(steps, missing(policy.ClusterRoleBindings, clusterBindings.Items, mergeClusterBinding, writer[rbacv1.ClusterRoleBinding]{
		create: func(ctx context.Context, b *rbacv1.ClusterRoleBinding) error {
			_, err := api.ClusterRoleBindings().Create(ctx, b, metav1.CreateOptions{})
			return err
		},
		update: func(ctx context.Context, b *rbacv1.ClusterRoleBinding) error {
			_, err := api.ClusterRoleBindings().Update(ctx, b, metav1.UpdateOptions{})
			return err
		},
	})...)
	return append(steps, missing(policy.RoleBindings, bindings.Items, mergeBinding, writer[rbacv1.RoleBinding]{
		create: func(ctx context.Context, b *rbacv1.RoleBinding) error {
			_, err := api.RoleBindings(b.Namespace).Create(ctx, b, metav1.CreateOptions{})
			return err
		},
		update: func(ctx context.Context, b *rbacv1.RoleBinding) error {
			_, err := api.RoleBindings(b.Namespace).Update(ctx, b, metav1.UpdateOptions{})
			return err
		},
	})...), nil
}

type writer[T any] struct {
	create, update func(context.Context, *T) error
}

// missing returns a step for each wanted object that is not stored or lacks something. merge adds what is wanted to a stored
// object and says whether that changed it. Objects whose autoupdate annotation is "false" belong to their administrator.
func missing[T any, P interface {
	*T
	metav1.Object
}](wanted, stored []T, merge func(stored, wanted *T) bool, write writer[T]) []step {
	byKey := make(map[string]*T, len(stored))
	for i := range stored {
		byKey[keyOf(P(&stored[i]))] = &stored[i]
	}
	var steps []step
	for i := range wanted {
		want := &wanted[i]
		name := fmt.Sprintf("%T %s", *want, keyOf(P(want)))
		have, found := byKey[keyOf(P(want))]
		switch {
		case !found:
			made := *want // the policy is shared, and a client writes the kind into what it sends
			steps = append(steps, step{name, func(ctx context.Context) error { return ignoreExists(write.create(ctx, &made)) }})
		case P(have).GetAnnotations()[autoUpdate] == "false":
		case merge(have, want):
			steps = append(steps, step{name, func(ctx context.Context) error { return write.update(ctx, have) }})
		}
	}
	return steps
}

func keyOf(obj metav1.Object) string { return obj.GetNamespace() + "/" + obj.GetName() }

func mergeClusterRole(stored, wanted *rbacv1.ClusterRole) bool {
	changed := mergeMeta(&stored.ObjectMeta, &wanted.ObjectMeta)
	if wanted.AggregationRule != nil {
		if !equality.Semantic.DeepEqual(stored.AggregationRule, wanted.AggregationRule) {
			stored.AggregationRule, changed = wanted.AggregationRule, true
		}
		return changed // its rules are the aggregation controller's
	}
	return mergeRules(&stored.Rules, wanted.Rules) || changed
}

func mergeRole(stored, wanted *rbacv1.Role) bool {
	changed := mergeMeta(&stored.ObjectMeta, &wanted.ObjectMeta)
	return mergeRules(&stored.Rules, wanted.Rules) || changed
}

func mergeClusterBinding(stored, wanted *rbacv1.ClusterRoleBinding) bool {
	changed := mergeMeta(&stored.ObjectMeta, &wanted.ObjectMeta)
	return mergeSubjects(&stored.Subjects, wanted.Subjects) || changed
}

func mergeBinding(stored, wanted *rbacv1.RoleBinding) bool {
	changed := mergeMeta(&stored.ObjectMeta, &wanted.ObjectMeta)
	return mergeSubjects(&stored.Subjects, wanted.Subjects) || changed
}

func mergeMeta(stored, wanted *metav1.ObjectMeta) bool {
	before := stored.DeepCopy()
	if stored.Labels == nil {
		stored.Labels = map[string]string{}
	}
	if stored.Annotations == nil {
		stored.Annotations = map[string]string{}
	}
	maps.Copy(stored.Labels, wanted.Labels)
	maps.Copy(stored.Annotations, wanted.Annotations)
	return !equality.Semantic.DeepEqual(before, stored)
}

func mergeRules(stored *[]rbacv1.PolicyRule, wanted []rbacv1.PolicyRule) bool {
	lacking := rbac.Uncovered(*stored, wanted)
	*stored = append(*stored, lacking...)
	return len(lacking) > 0
}

func mergeSubjects(stored *[]rbacv1.Subject, wanted []rbacv1.Subject) bool {
	changed := false
	for _, subject := range wanted {
		if !slices.Contains(*stored, subject) {
			*stored, changed = append(*stored, subject), true
		}
	}
	return changed
}
