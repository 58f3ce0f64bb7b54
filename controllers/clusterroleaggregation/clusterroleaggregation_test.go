package clusterroleaggregation

import (
	"context"
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/controltest"
)

const toView = "rbac.authorization.k8s.io/aggregate-to-view"

func part(name, resource string, labels map[string]string) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{resource}}},
	}
}

func sum(name string) *rbacv1.ClusterRole {
	role := part(name, "leftovers", map[string]string{toView: "true"}) // it selects itself, and must not gather itself
	role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{toView: "true"}}}}
	return role
}

func TestSum(t *testing.T) {
	t.Parallel()
	label := map[string]string{toView: "true"}
	rules, err := Sum(sum("view"), []*rbacv1.ClusterRole{sum("view"), part("c", "pods", label), part("a", "services", label), part("d", "secrets", nil), part("e", "pods", label)})
	if err != nil || len(rules) != 2 || rules[0].Resources[0] != "services" || rules[1].Resources[0] != "pods" {
		t.Errorf("%v, %v", rules, err)
	}
	bad := sum("view")
	bad.AggregationRule.ClusterRoleSelectors[0].MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}
	if _, err := Sum(bad, nil); err == nil {
		t.Error("a selector that is not valid selects")
	}
}

// TestAPartComesAndGoes, and the sum follows.
func TestAPartComesAndGoes(t *testing.T) {
	t.Parallel()
	w := controltest.New(t, sum("view"))
	w.Run(w.Must(New(w.Set, 2)))
	roles, ctx := w.RbacV1().ClusterRoles(), context.Background()
	resources := func(want string) func() string {
		return func() string {
			role, err := roles.Get(ctx, "view", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			got := ""
			for _, rule := range role.Rules {
				got += rule.Resources[0] + " "
			}
			if got != want {
				return fmt.Sprintf("the sum is %q", got)
			}
			return ""
		}
	}
	w.Eventually(resources(""))
	if _, err := roles.Create(ctx, part("more", "widgets", map[string]string{toView: "true"}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(resources("widgets "))
	if _, err := roles.Update(ctx, part("more", "gadgets", map[string]string{toView: "true"}), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(resources("gadgets "))
	if _, err := roles.Update(ctx, part("more", "gadgets", nil), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(resources(""))
}
