package apiserver

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestDefinitionsHaveManagersToo: the kinds that client-go does not know, definitions of custom resources and of other API servers, are
// applied and merged like all others, lists by their keys.
func TestDefinitionsHaveManagersToo(t *testing.T) {
	t.Parallel()
	s := StartComplete(t)
	const definitions, services = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/apiregistration.k8s.io/v1/apiservices"
	for name, c := range map[string]struct{ path, mine, theirs, key string }{
		"a definition": {
			path: definitions + "/seats.example.com", key: `k:{\"name\":\"v1\"}`,
			mine: `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"seats.example.com"},"spec":{
				"group":"example.com","scope":"Namespaced","names":{"plural":"seats","kind":"Seat"},
				"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`,
			theirs: `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","spec":{"versions":[{"name":"v1","served":false}]}}`,
		},
		"another API server": {
			path: services + "/v1.example.org", key: `f:groupPriorityMinimum`,
			mine: `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"v1.example.org"},"spec":{
				"group":"example.org","version":"v1","groupPriorityMinimum":100,"versionPriority":10,"service":{"namespace":"default","name":"x"},"insecureSkipTLSVerify":true}}`,
			theirs: `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","spec":{"groupPriorityMinimum":200}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if a := s.Do("PATCH", c.path+"?fieldManager=me", c.mine, "Content-Type", apply); a.Code != 201 {
				t.Fatalf("%d %s", a.Code, a.Body)
			}
			managed, err := json.Marshal(s.Do("GET", c.path, "").Object(t)["metadata"])
			if err != nil || !strings.Contains(string(managed), strings.ReplaceAll(c.key, `\`, "")) && !strings.Contains(string(managed), c.key) {
				t.Errorf("managed fields: %s (%v)", managed, err)
			}
			if a := s.Do("PATCH", c.path+"?fieldManager=you", c.theirs, "Content-Type", apply); a.Code != 409 || !strings.Contains(string(a.Body), `conflict with \"me\"`) {
				t.Errorf("another manager's change: %d %s", a.Code, a.Body)
			}
			if a := s.Do("PATCH", c.path+"?fieldManager=you&force=true", c.theirs, "Content-Type", apply); a.Code != 200 {
				t.Errorf("by force: %d %s", a.Code, a.Body)
			}
		})
	}
}
