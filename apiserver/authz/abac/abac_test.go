package abac

import (
	"strings"
	"testing"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

const policies = `
# who may do what
{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"alice","namespace":"*","resource":"*","apiGroup":"*"}}
{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"group":"dev","namespace":"a","resource":"pods","readonly":true}}
{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"*","nonResourcePath":"/version*","readonly":true}}
{"user":"old","resource":"events"}
`

func TestPolicies(t *testing.T) {
	t.Parallel()
	authorizer, err := Parse([]byte(policies))
	if err != nil {
		t.Fatal(err)
	}
	of := func(verb, namespace, group, plural string) *request.Info {
		return &request.Info{IsResource: true, Verb: verb, Namespace: namespace, Group: group, Resource: plural}
	}
	for name, test := range map[string]struct {
		user string
		info *request.Info
		want bool
	}{
		"anything":             {"alice", of("delete", "b", "apps", "deployments"), true},
		"not a path":           {"alice", &request.Info{Verb: "get", Path: "/metrics"}, false},
		"a group reads":        {"bob", of("list", "a", "", "pods"), true},
		"a group writes":       {"bob", of("create", "a", "", "pods"), false},
		"elsewhere":            {"bob", of("list", "b", "", "pods"), false},
		"of another API group": {"bob", of("list", "a", "metrics.k8s.io", "pods"), false},
		"a path":               {"bob", &request.Info{Verb: "get", Path: "/version/x"}, true},
		"a path, written":      {"bob", &request.Info{Verb: "post", Path: "/version"}, false},
		"the old form":         {"old", of("create", "c", "events.k8s.io", "events"), true},
		"the old form, a path": {"old", &request.Info{Verb: "get", Path: "/metrics"}, false},
		"a stranger's path":    {"", &request.Info{Verb: "get", Path: "/version"}, false},
	} {
		user := resource.User{Name: test.user, Groups: []string{authenticated}}
		switch test.user {
		case "bob":
			user.Groups = append(user.Groups, "dev")
		case "":
			user.Groups = nil
		}
		decision, _, err := authorizer.Authorize(t.Context(), test.info, user)
		if err != nil || (decision == request.Allow) != test.want || decision == request.Deny {
			t.Errorf("%s: %v, %v; want allowed: %v", name, decision, err, test.want)
		}
	}
}

func TestBadPolicies(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\n{": "line 2", `{"kind":"Policy","apiVersion":"v1"}`: `"v1"`,
		`{"kind":"Policy","apiVersion":"abac.authorization.kubernetes.io/v1beta1"}`: "spec is missing",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(policies))
	f.Fuzz(func(t *testing.T, text []byte) {
		policies, err := Parse(text)
		if err != nil {
			return
		}
		info := &request.Info{IsResource: true, Verb: "get", Resource: "pods"}
		if decision, _, _ := policies.Authorize(t.Context(), info, resource.User{Name: "a"}); decision == request.Deny {
			t.Error("a policy denied")
		}
	})
}
