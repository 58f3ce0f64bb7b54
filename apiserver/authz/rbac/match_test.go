package rbac

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/septet-io/septet/apiserver/request"
)

func rule(verbs, groups, resources []string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: groups, Resources: resources, ResourceNames: names}
}

func paths(verb string, urls ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{verb}, NonResourceURLs: urls}
}

func on(verb, group, resource, subresource, name string) request.Info {
	return request.Info{IsResource: true, Verb: verb, Group: group, Resource: resource, Subresource: subresource, Name: name}
}

var core, all = []string{""}, []string{"*"}

func list(s ...string) []string { return s }

func TestRulesMatchRequests(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rule rbacv1.PolicyRule
		info request.Info
		want bool
	}{
		"the same":                       {rule(list("get"), core, list("pods")), on("get", "", "pods", "", "a"), true},
		"another verb":                   {rule(list("get"), core, list("pods")), on("list", "", "pods", "", ""), false},
		"another group":                  {rule(list("get"), core, list("pods")), on("get", "apps", "pods", "", "a"), false},
		"everything":                     {rule(all, all, all), on("patch", "apps", "deployments", "scale", "a"), true},
		"a resource is not its parts":    {rule(list("get"), core, list("pods")), on("get", "", "pods", "log", "a"), false},
		"a part":                         {rule(list("get"), core, list("pods/log")), on("get", "", "pods", "log", "a"), true},
		"a part is not the resource":     {rule(list("get"), core, list("pods/log")), on("get", "", "pods", "", "a"), false},
		"a part of all":                  {rule(list("update"), all, list("*/scale")), on("update", "apps", "deployments", "scale", "a"), true},
		"another part of all":            {rule(list("update"), all, list("*/scale")), on("update", "apps", "deployments", "status", "a"), false},
		"a part of all is not all":       {rule(list("update"), all, list("*/scale")), on("update", "apps", "deployments", "", "a"), false},
		"an empty part is none":          {rule(list("get"), all, list("pods/")), on("get", "", "pods", "", "a"), false},
		"an empty part of all is none":   {rule(list("get"), all, list("*/")), on("get", "", "pods", "", "a"), false},
		"a name":                         {rule(list("get"), core, list("pods"), "a", "b"), on("get", "", "pods", "", "b"), true},
		"another name":                   {rule(list("get"), core, list("pods"), "a"), on("get", "", "pods", "", "b"), false},
		"a name where there is none yet": {rule(list("create"), core, list("pods"), "a"), on("create", "", "pods", "", ""), false},
		"a path":                         {paths("get", "/healthz"), request.Info{Verb: "get", Path: "/healthz"}, true},
		"a path is not those below":      {paths("get", "/healthz"), request.Info{Verb: "get", Path: "/healthz/etcd"}, false},
		"paths below":                    {paths("get", "/healthz/*"), request.Info{Verb: "get", Path: "/healthz/etcd"}, true},
		"below is not the path itself":   {paths("get", "/healthz/*"), request.Info{Verb: "get", Path: "/healthz"}, false},
		"all paths":                      {paths("get", "*"), request.Info{Verb: "get", Path: "/metrics"}, true},
		"all resources are not paths":    {rule(all, all, all), request.Info{Verb: "get", Path: "/metrics"}, false},
		"all paths are not resources":    {paths("*", "*"), on("get", "", "pods", "", "a"), false},
	} {
		if got := Allows(&test.rule, &test.info); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatIsNotHeldMayNotBeGranted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		held, wanted rbacv1.PolicyRule
		missing      int
	}{
		"the same":                    {rule(list("get"), core, list("pods")), rule(list("get"), core, list("pods")), 0},
		"less":                        {rule(list("get", "list"), core, list("pods", "secrets")), rule(list("get"), core, list("pods")), 0},
		"a verb more":                 {rule(list("get"), core, list("pods")), rule(list("get", "list"), core, list("pods")), 1},
		"one name of all":             {rule(list("get"), core, list("pods")), rule(list("get"), core, list("pods"), "a"), 0},
		"all for one name":            {rule(list("get"), core, list("pods"), "a"), rule(list("get"), core, list("pods")), 1},
		"a name more":                 {rule(list("get"), core, list("pods"), "a"), rule(list("get"), core, list("pods"), "a", "b"), 1},
		"everything for much":         {rule(list("get"), core, list("pods", "secrets")), rule(all, all, all), 1},
		"a part of all covers one":    {rule(all, all, list("*/scale")), rule(list("get"), all, list("deployments/scale")), 0},
		"one part does not cover all": {rule(all, all, list("deployments/scale")), rule(list("get"), all, list("*/scale")), 1},
		"paths below":                 {paths("get", "/a/*"), paths("get", "/a/b", "/a/*", "/*"), 1},
	} {
		if got := Uncovered([]rbacv1.PolicyRule{test.held}, []rbacv1.PolicyRule{test.wanted}); len(got) != test.missing {
			t.Errorf("%s: %v, want %d", name, got, test.missing)
		}
	}
	missing := united(Uncovered(nil, []rbacv1.PolicyRule{rule(list("get", "list"), core, list("pods"), "a")}))
	if len(missing) != 1 || describe(&missing[0]) != `{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get" "list"]}` {
		t.Errorf("missing is told as %v", missing)
	}
}
