package rbac

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	expect(t, validateRole(nil, &rbacv1.Role{Rules: []rbacv1.PolicyRule{
		{}, {Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz"}, Resources: []string{"pods"}},
	}}),
		"rules[0].verbs: Required value: verbs must contain at least one value",
		"rules[0].apiGroups: Required value: resource rules must supply at least one api group",
		"rules[0].resources: Required value: resource rules must supply at least one resource",
		`rules[1].nonResourceURLs: Invalid value: ["/healthz"]: namespaced rules cannot apply to non-resource URLs`,
		`rules[1].nonResourceURLs: Invalid value: ["/healthz"]: rules cannot apply to both regular resources and non-resource URLs`)
	expect(t, validateClusterRole(nil, &rbacv1.ClusterRole{AggregationRule: &rbacv1.AggregationRule{}}),
		"aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil")
}

func TestBindings(t *testing.T) {
	t.Parallel()
	old := &rbacv1.ClusterRoleBinding{
		RoleRef:  rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "jane"}, {Kind: "ServiceAccount", Name: "robot", Namespace: "a"}},
	}
	defaultBinding(&old.RoleRef, old.Subjects)
	expect(t, validateClusterRoleBinding(nil, old))
	if old.Subjects[0].APIGroup != rbacv1.GroupName || old.Subjects[1].APIGroup != "" {
		t.Errorf("groups: %+v", old.Subjects)
	}
	changed := old.DeepCopy()
	changed.RoleRef.Name = "admin"
	changed.Subjects = []rbacv1.Subject{{Kind: "ServiceAccount", Name: "robot"}, {Kind: "Robot", Name: "r"}}
	expect(t, validateClusterRoleBindingUpdate(nil, changed, old),
		"subjects[0].namespace: Required value",
		`subjects[1].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"`,
		`roleRef: Invalid value: {"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"admin"}: cannot change roleRef`)
}
