// Package clusterroleaggregation fills the rules of ClusterRoles that are the sum of others: admin, edit and view, and those
// of users, gather every ClusterRole that their aggregationRule selects.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
package clusterroleaggregation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

type controller struct {
	client *client.Set
	roles  cache.SharedIndexInformer
}

// New returns the controller. Its keys are ClusterRoles with an aggregationRule.
func New(set *client.Set, workers int) (reconcile.Controller, error) {
	c := &controller{client: set, roles: set.Informers.Rbac().V1().ClusterRoles().Informer()}
	return reconcile.Controller{
		Name: "clusterrole-aggregation-controller", Queue: "ClusterRoleAggregator", Kind: "ClusterRole", Workers: workers,
		Watches:   []reconcile.Watch{{Informer: c.roles, Keys: reconcile.Of(c.sums)}},
		Reconcile: c.reconcile,
	}, nil
}

// sums returns every aggregated role that a change may concern. There are few of them, and which labels a role had does
// not matter then; a change of neither rules nor labels nor aggregation concerns none.
func (c *controller) sums(old, role *rbacv1.ClusterRole) []reconcile.Key {
	if old != nil && role != nil && equality.Semantic.DeepEqual(old.Labels, role.Labels) &&
		equality.Semantic.DeepEqual(old.Rules, role.Rules) && equality.Semantic.DeepEqual(old.AggregationRule, role.AggregationRule) {
		return nil
	}
	var keys []reconcile.Key
	for _, sum := range index.All[*rbacv1.ClusterRole](c.roles) {
		if sum.AggregationRule != nil {
			keys = append(keys, reconcile.Key{Name: sum.Name})
		}
	}
	return keys
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	role, found := index.Get[*rbacv1.ClusterRole](c.roles, "", key.Name)
	if !found || role.AggregationRule == nil {
		return reconcile.Result{}, nil
	}
	rules, err := Sum(role, index.All[*rbacv1.ClusterRole](c.roles))
	if err != nil {
		return reconcile.Result{}, err
	}
	if equality.Semantic.DeepEqual(role.Rules, rules) {
		return reconcile.Result{}, nil
	}
	role = role.DeepCopy()
	role.Rules = rules
	made, err := c.client.RbacV1().ClusterRoles().Update(ctx, role, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	reconcile.Note(ctx, journal.Record{
		Step: "update", Kind: "ClusterRole", Name: made.Name, UID: made.UID, Made: made.ResourceVersion, Note: fmt.Sprintf("%d rules gathered", len(rules)),
	})
	return reconcile.Result{}, nil
}

// Sum returns the rules of all roles that role's aggregationRule selects, each once: selector by selector, and by name.
// It fails if a selector is not valid.
func Sum(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
	rules := []rbacv1.PolicyRule{}
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, fmt.Errorf("aggregationRule.clusterRoleSelectors[%d]: %w", i, err)
		}
		for _, part := range all {
			if part.Name == role.Name || !selector.Matches(labels.Set(part.Labels)) {
				continue
			}
			for j := range part.Rules {
				same := func(have rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(have, part.Rules[j]) }
				if !slices.ContainsFunc(rules, same) {
					rules = append(rules, part.Rules[j])
				}
			}
		}
	}
	return rules, nil
}
