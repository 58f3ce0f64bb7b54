package rbac

import (
	"context"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/septet-io/septet/apiserver/authz"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// world is an Authorizer whose informers' stores the test fills itself, so that a change is known at once.
type world struct {
	*Authorizer
	shared informers.SharedInformerFactory
}

func newWorld(t *testing.T) *world {
	t.Helper()
	shared := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	a, err := New(shared.Rbac().V1())
	if err != nil {
		t.Fatal(err)
	}
	return &world{a, shared}
}

func (w *world) put(t *testing.T, objects ...any) {
	t.Helper()
	for _, obj := range objects {
		r := w.shared.Rbac().V1()
		informer := r.Roles().Informer()
		switch obj.(type) {
		case *rbacv1.ClusterRole:
			informer = r.ClusterRoles().Informer()
		case *rbacv1.RoleBinding:
			informer = r.RoleBindings().Informer()
		case *rbacv1.ClusterRoleBinding:
			informer = r.ClusterRoleBindings().Informer()
		}
		if err := informer.GetStore().Add(obj); err != nil {
			t.Fatal(err)
		}
		w.forget(obj)
	}
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func role(kind, name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

func bind(namespace string, ref rbacv1.RoleRef, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{ObjectMeta: named(namespace, ref.Name), RoleRef: ref, Subjects: subjects}
}

func user(name string) rbacv1.Subject { return rbacv1.Subject{Kind: "User", Name: name} }

func TestBindingsDecide(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func(u resource.User, verb, namespace string) (request.Decision, string) {
		t.Helper()
		info := on(verb, "", "pods", "", "a")
		info.Namespace = namespace
		decision, reason, err := w.Authorize(t.Context(), &info, u)
		if err != nil {
			t.Fatal(err)
		}
		return decision, reason
	}
	jane := resource.User{Name: "jane", Groups: []string{"dev"}}
	bot := resource.User{Name: "system:serviceaccount:shop:bot"}
	if decision, _ := ask(jane, "get", "shop"); decision != request.NoOpinion {
		t.Fatal("allowed by nothing")
	}
	reader := []rbacv1.PolicyRule{rule(list("get"), core, list("pods"))}
	w.put(t, &rbacv1.Role{ObjectMeta: named("shop", "reader"), Rules: reader}, &rbacv1.ClusterRole{ObjectMeta: named("", "lister"), Rules: []rbacv1.PolicyRule{rule(list("list"), core, list("pods"))}},
		bind("shop", role("Role", "reader"), user("jane"), rbacv1.Subject{Kind: "ServiceAccount", Name: "bot"}),
		&rbacv1.ClusterRoleBinding{ObjectMeta: named("", "dev"), RoleRef: role("ClusterRole", "lister"), Subjects: []rbacv1.Subject{{Kind: "Group", Name: "dev"}}})
	if decision, reason := ask(jane, "get", "shop"); decision != request.Allow || reason != `RBAC: allowed by RoleBinding "reader/shop" of Role "reader" to User "jane"` {
		t.Errorf("jane: %v, %s", decision, reason)
	}
	if decision, reason := ask(bot, "get", "shop"); decision != request.Allow || !strings.HasSuffix(reason, `to ServiceAccount "bot/shop"`) {
		t.Errorf("bot: %v, %s", decision, reason)
	}
	if decision, _ := ask(jane, "get", "bank"); decision == request.Allow {
		t.Error("a RoleBinding allows in another namespace")
	}
	if decision, reason := ask(jane, "list", "bank"); decision != request.Allow || !strings.HasSuffix(reason, `ClusterRoleBinding "dev" of ClusterRole "lister" to Group "dev"`) {
		t.Errorf("by group: %v, %s", decision, reason)
	}
	// A binding that changes is known at the next question, also in a namespace that had none.
	w.put(t, bind("bank", role("ClusterRole", "lister"), user("joe")), bind("shop", role("Role", "reader"), user("joe")))
	joe := resource.User{Name: "joe"}
	if decision, _ := ask(joe, "list", "bank"); decision != request.Allow {
		t.Error("a new binding is not known")
	}
	if decision, _ := ask(jane, "get", "shop"); decision == request.Allow {
		t.Error("a lost subject is still bound")
	}
	w.put(t, bind("bank", role("Role", "missing"), user("joe")))
	if decision, reason := ask(joe, "get", "bank"); decision == request.Allow || !strings.Contains(reason, `"missing" not found`) {
		t.Errorf("a missing role: %v, %s", decision, reason)
	}
}

func TestQuestionsAboutAnyNamespaceLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, namespace := range []string{"a", "b", "c"} {
		if _, err := w.PolicyRules(resource.User{Name: "jane"}, namespace); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.bindings) > 1 {
		t.Errorf("%d indexes are kept of namespaces without bindings", len(w.bindings)-1)
	}
}

func TestNobodyGrantsMoreThanTheyHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t,
		&rbacv1.ClusterRole{ObjectMeta: named("", "admin"), Rules: []rbacv1.PolicyRule{rule(all, all, all), paths("*", "*")}},
		&rbacv1.ClusterRole{ObjectMeta: named("", "reader"), Rules: []rbacv1.PolicyRule{rule(list("get"), core, list("pods"))}},
		&rbacv1.ClusterRole{ObjectMeta: named("", "binder"), Rules: []rbacv1.PolicyRule{rule(list("bind"), list(rbacv1.GroupName), list("clusterroles"), "admin")}},
		&rbacv1.ClusterRole{ObjectMeta: named("", "escalator"), Rules: []rbacv1.PolicyRule{rule(list("escalate"), list(rbacv1.GroupName), list("clusterroles"))}},
	)
	for name := range map[string]bool{"admin": true, "reader": true, "binder": true, "escalator": true} {
		w.put(t, &rbacv1.ClusterRoleBinding{ObjectMeta: named("", name), RoleRef: role("ClusterRole", name), Subjects: []rbacv1.Subject{user(name)}})
	}
	guard := &Escalation{Rules: w.Authorizer, Authorizer: authz.Chain{authz.MastersAllowed{}, w.Authorizer}}
	clusterRole := func(change func(*rbacv1.ClusterRole)) *rbacv1.ClusterRole {
		r := &rbacv1.ClusterRole{ObjectMeta: named("", "new"), Rules: []rbacv1.PolicyRule{rule(list("get", "list"), core, list("secrets"))}}
		if change != nil {
			change(r)
		}
		return r
	}
	aggregated := func(label string) func(*rbacv1.ClusterRole) {
		return func(r *rbacv1.ClusterRole) {
			r.Rules = nil
			r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{label: "true"}}}}
		}
	}
	labelled := func(r *rbacv1.ClusterRole) {
		r.Labels = map[string]string{"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
	}
	finalized := func(r *rbacv1.ClusterRole) { r.Finalizers = []string{"example.org/wait"} }
	less := func(r *rbacv1.ClusterRole) { r.Rules = []rbacv1.PolicyRule{rule(list("get"), core, list("pods"))} }
	binding := func(ref string) *rbacv1.ClusterRoleBinding {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: named("", "new"), RoleRef: role("ClusterRole", ref), Subjects: []rbacv1.Subject{user("eve")}}
	}
	for name, test := range map[string]struct {
		who   string
		obj   resource.Object
		old   resource.Object
		fails string
	}{
		"a role of what one has":               {who: "reader", obj: clusterRole(less)},
		"a role of more":                       {who: "reader", obj: clusterRole(nil), fails: `user "reader" (groups=[]) is attempting to grant RBAC permissions not currently held:` + "\n" + `{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}`},
		"a role of more by an escalator":       {who: "escalator", obj: clusterRole(nil)},
		"a role of more by an administrator":   {who: "admin", obj: clusterRole(nil)},
		"a label on a role of more":            {who: "reader", obj: clusterRole(labelled), old: clusterRole(nil), fails: "not currently held"},
		"a finalizer on a role of more":        {who: "reader", obj: clusterRole(finalized), old: clusterRole(nil)},
		"an aggregated role":                   {who: "reader", obj: clusterRole(aggregated("a")), fails: "must have cluster-admin privileges to use an aggregationRule"},
		"another aggregation":                  {who: "reader", obj: clusterRole(aggregated("b")), old: clusterRole(aggregated("a")), fails: "cluster-admin"},
		"no aggregation any more":              {who: "reader", obj: clusterRole(less), old: clusterRole(aggregated("a")), fails: "cluster-admin"},
		"an aggregated role by administrators": {who: "admin", obj: clusterRole(aggregated("b")), old: clusterRole(aggregated("a"))},
		"a binding to what one has":            {who: "reader", obj: binding("reader")},
		"a binding to more":                    {who: "reader", obj: binding("admin"), fails: "not currently held"},
		"a binding by a binder":                {who: "binder", obj: binding("admin")},
		"a binding by a binder of another":     {who: "binder", obj: binding("reader"), fails: "not currently held"},
		"a binding to nothing":                 {who: "reader", obj: binding("missing"), fails: `"missing" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := guard.Role
			if _, ok := test.obj.(*rbacv1.ClusterRoleBinding); ok {
				check = guard.Binding
			}
			err := check(context.Background(), &resource.Request{User: resource.User{Name: test.who}}, test.obj, test.old)
			switch {
			case test.fails == "" && err != nil:
				t.Error(err)
			case test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)):
				t.Errorf("got %v, want %q", err, test.fails)
			case err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err):
				t.Errorf("%v is of another sort", err)
			}
		})
	}
}
