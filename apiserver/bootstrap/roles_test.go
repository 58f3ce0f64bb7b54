package bootstrap

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// referenceDir holds upstream's own default policy as data; the comparison is left out where it is not found.
func referenceDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SEPTET_REFERENCE")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "reference")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no reference data here")
	}
	return filepath.Join(dir, "rbac")
}

func load[T any](t *testing.T, file string) []T {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []T `json:"items"`
	}
	if err := yaml.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// compare holds ours against upstream's, by key; both ways.
func compare[T any](t *testing.T, kind string, ours, theirs []T, key func(*T) string, normal func(*T) any) {
	t.Helper()
	have := map[string]any{}
	for i := range ours {
		have[key(&ours[i])] = normal(&ours[i])
	}
	for i := range theirs {
		name := key(&theirs[i])
		// The data comes from a distribution that adds rules, subjects and objects of its own.
		if strings.Contains(name, "openshift") || strings.Contains(name, "service-ca-cert-publisher") {
			continue
		}
		got, ok := have[name]
		delete(have, name)
		if want := normal(&theirs[i]); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s %s:\n have %v\n want %v", kind, name, got, want)
		}
	}
	for name := range have {
		t.Errorf("%s %s is not upstream's", kind, name)
	}
}

type shape struct {
	Labels, Annotations map[string]string
	Rules               []string
	Subjects            []rbacv1.Subject
	Ref                 rbacv1.RoleRef
	Aggregation         *rbacv1.AggregationRule
}

func rulesOf(rules []rbacv1.PolicyRule) []string {
	var flat []string
	for _, r := range rules {
		sorted := func(list []string) []string { return slices.Sorted(slices.Values(list)) }
		if slices.Contains(r.NonResourceURLs, "/.well-known") {
			continue // the distribution's own
		}
		text := strings.Join([]string{
			strings.Join(sorted(r.Verbs), ","), strings.Join(sorted(r.APIGroups), ","), strings.Join(sorted(r.Resources), ","),
			strings.Join(sorted(r.ResourceNames), ","), strings.Join(sorted(r.NonResourceURLs), ","),
		}, "|")
		if !strings.Contains(text, "openshift") {
			flat = append(flat, text)
		}
	}
	slices.Sort(flat)
	return flat
}

func TestDefaultPolicyIsUpstreams(t *testing.T) {
	t.Parallel()
	dir := referenceDir(t)
	ours := DefaultPolicy()
	clusterRoles := append(load[rbacv1.ClusterRole](t, dir+"/cluster-roles.yaml"), load[rbacv1.ClusterRole](t, dir+"/controller-roles.yaml")...)
	compare(t, "ClusterRole", ours.ClusterRoles, clusterRoles,
		func(r *rbacv1.ClusterRole) string { return r.Name },
		func(r *rbacv1.ClusterRole) any {
			return shape{Labels: r.Labels, Annotations: r.Annotations, Rules: rulesOf(r.Rules), Aggregation: r.AggregationRule}
		})
	bindings := append(load[rbacv1.ClusterRoleBinding](t, dir+"/cluster-role-bindings.yaml"), load[rbacv1.ClusterRoleBinding](t, dir+"/controller-role-bindings.yaml")...)
	compare(t, "ClusterRoleBinding", ours.ClusterRoleBindings, bindings,
		func(b *rbacv1.ClusterRoleBinding) string { return b.Name },
		func(b *rbacv1.ClusterRoleBinding) any {
			return shape{Labels: b.Labels, Annotations: b.Annotations, Subjects: b.Subjects, Ref: b.RoleRef}
		})
	compare(t, "Role", ours.Roles, load[rbacv1.Role](t, dir+"/namespace-roles.yaml"),
		func(r *rbacv1.Role) string { return r.Namespace + "/" + r.Name },
		func(r *rbacv1.Role) any {
			return shape{Labels: r.Labels, Annotations: r.Annotations, Rules: rulesOf(r.Rules)}
		})
	compare(t, "RoleBinding", ours.RoleBindings, load[rbacv1.RoleBinding](t, dir+"/namespace-role-bindings.yaml"),
		func(b *rbacv1.RoleBinding) string { return b.Namespace + "/" + b.Name },
		func(b *rbacv1.RoleBinding) any {
			return shape{Labels: b.Labels, Annotations: b.Annotations, Subjects: b.Subjects, Ref: b.RoleRef}
		})
}

func TestAMistakeInTheTableIsNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"clusterrole a\n  get pods":        `line 2: "get pods" is not a rule`,
		"  get core: pods":                 "line 1: a rule before any role",
		"rank a":                           `line 1: unknown word "rank"`,
		"role a":                           `line 1: role "a" has no namespace`,
		"binding a b robot:x":              `line 1: unknown subject "robot:x"`,
		"# only a comment\nclusterrole":    `line 2: "clusterrole" has no name`,
		"clusterrole a colour=blue":        `line 1: unknown option "colour=blue"`,
		"rolebinding kube-system/a":        `line 1: binding "kube-system/a" has no role`,
		"rolebinding a b user:x":           `line 1: rolebinding "a" has no namespace`,
		"binding a b sa:no-namespace-here": `line 1: service account "no-namespace-here" has no namespace`,
	} {
		if _, err := parsePolicy(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
