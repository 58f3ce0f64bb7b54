package audit

import (
	"strings"
	"testing"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

const head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"

func TestPoliciesAreRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text  string
		fails []string
	}{
		"good":             {text: head + "rules: [{level: Metadata, users: [a], resources: [{group: '', resources: [pods]}]}]"},
		"unknown fields":   {text: head + "rules: [{level: Metadata, colour: red}]"},
		"another kind":     {text: "apiVersion: v1\nkind: Policy\nrules: [{level: None}]", fails: []string{"audit.k8s.io/v1"}},
		"an old version":   {text: "apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]", fails: []string{"v1beta1"}},
		"no rules":         {text: head, fails: []string{"at least one rule"}},
		"not YAML":         {text: "{", fails: []string{"yaml"}},
		"all that is bad":  {text: head + "omitStages: [End]\nrules: [{level: Some}, {}]", fails: []string{"omitStages[0]", "rules[0].level", "rules[1].level: Required"}},
		"two sorts":        {text: head + "rules: [{level: None, namespaces: [a], nonResourceURLs: [/a]}]", fails: []string{"both regular resources and non-resource URLs"}},
		"paths":            {text: head + "rules: [{level: None, nonResourceURLs: [a, '/a*b']}]", fails: []string{"[0]", "begin with", "[1]", "final character"}},
		"names of nothing": {text: head + "rules: [{level: None, resources: [{group: 'a/v1', resourceNames: [x]}]}]", fails: []string{"rules[0].resources[0].group", "at least one resource"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParsePolicy([]byte(test.text))
			if (err == nil) != (test.fails == nil) {
				t.Fatalf("got %v", err)
			}
			for _, part := range test.fails {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %q", part, err)
				}
			}
		})
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(head + "rules: [{level: Metadata, users: [a], resources: [{group: '', resources: [pods/*, '*/scale']}]}]"))
	f.Add([]byte(head + "rules: [{level: Request, nonResourceURLs: ['/api*', '*']}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := ParsePolicy(text)
		if err != nil {
			return
		}
		policy.decide(&request.Info{IsResource: true, Resource: "pods", Subresource: "log"}, &resource.User{Name: "a"})
		policy.decide(&request.Info{Path: "/api"}, &resource.User{Groups: []string{"g"}})
	})
}

func TestTheFirstRuleThatMatchesDecides(t *testing.T) {
	t.Parallel()
	policy, err := ParsePolicy([]byte(head + `
omitManagedFields: true
rules:
- {level: None, users: ["system:kube-proxy"], verbs: [watch]}
- {level: Metadata, userGroups: [ops], nonResourceURLs: ["/health*", /version]}
- {level: Request, resources: [{group: "", resources: [pods/*]}], omitManagedFields: false}
- {level: RequestResponse, namespaces: [""], resources: [{group: "*", resources: [nodes, "*/scale"], resourceNames: [n1]}]}
- {level: Metadata, resources: [{group: apps}]}
- {level: Request, namespaces: [kube-system]}
`))
	if err != nil {
		t.Fatal(err)
	}
	pods := func(sub string) request.Info {
		return request.Info{IsResource: true, Verb: "get", Resource: "pods", Namespace: "default", Name: "p", Subresource: sub}
	}
	for name, test := range map[string]struct {
		info request.Info
		user resource.User
		want Level
		keep bool // managedFields
	}{
		"a user's verb":       {request.Info{IsResource: true, Verb: "watch", Resource: "pods", Namespace: "kube-system"}, resource.User{Name: "system:kube-proxy"}, None, false},
		"another verb":        {request.Info{IsResource: true, Verb: "get", Resource: "x", Namespace: "kube-system"}, resource.User{Name: "system:kube-proxy"}, Request, false},
		"a path's beginning":  {request.Info{Verb: "get", Path: "/healthz/etcd"}, resource.User{Groups: []string{"dev", "ops"}}, Metadata, false},
		"another group":       {request.Info{Verb: "get", Path: "/healthz"}, resource.User{Groups: []string{"dev"}}, None, false},
		"another path":        {request.Info{Verb: "get", Path: "/version/x"}, resource.User{Groups: []string{"ops"}}, None, false},
		"a pod":               {pods(""), resource.User{}, Request, true},
		"a pod's log":         {pods("log"), resource.User{}, Request, true},
		"a named node":        {request.Info{IsResource: true, Resource: "nodes", Name: "n1"}, resource.User{}, RequestResponse, false},
		"another node":        {request.Info{IsResource: true, Resource: "nodes", Name: "n2"}, resource.User{}, None, false},
		"any scale":           {request.Info{IsResource: true, Group: "x", Resource: "things", Subresource: "scale", Name: "n1"}, resource.User{}, RequestResponse, false},
		"a whole group":       {request.Info{IsResource: true, Group: "apps", Resource: "deployments", Subresource: "status"}, resource.User{}, Metadata, false},
		"a whole namespace":   {request.Info{IsResource: true, Resource: "secrets", Namespace: "kube-system"}, resource.User{}, Request, false},
		"nothing that anyone": {request.Info{IsResource: true, Resource: "secrets", Namespace: "default"}, resource.User{}, None, false},
	} {
		got := policy.decide(&test.info, &test.user)
		if got.level != test.want {
			t.Errorf("%s: %s, want %s", name, got.level, test.want)
		}
		if got.level != None && got.omitManagedFields == test.keep {
			t.Errorf("%s: managedFields left out: %v", name, got.omitManagedFields)
		}
	}
}
