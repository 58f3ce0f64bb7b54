package apiserver

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestDefinitionsHaveManagersToo: the kinds that client-go does not know, definitions of custom resources and of other API servers, are
// applied and merged like all others.
func TestDefinitionsHaveManagersToo(t *testing.T) {
	t.Parallel()
	s := StartComplete(t)
	const definitions, services = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/apiregistration.k8s.io/v1/apiservices"
	for name, c := range map[string]struct{ path, mine, theirs, key string }{
		"a definition": {
			path: definitions + "/seats.example.com", key: `"f:versions":{}`, // one whole, as upstream's
			mine: `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"seats.example.com"},"spec":{
				"group":"example.com","scope":"Namespaced","names":{"plural":"seats","kind":"Seat"},
				"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`,
			theirs: `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","spec":{
				"versions":[{"name":"v1","served":true,"storage":true,"deprecated":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`,
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
			if err != nil || !strings.Contains(string(managed), c.key) {
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

// TestEventsAreSelectedByTheNamesOfEitherGroup: one store has them all, in the form of the core group.
//
// conformance: New Event resource lifecycle, testing a single event
func TestEventsAreSelectedByTheNamesOfEitherGroup(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	const core, events = "/api/v1/namespaces/default/events", "/apis/events.k8s.io/v1/namespaces/default/events"
	event := `{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"e"},"eventTime":"2026-01-01T00:00:00.000000Z","action":"Do","reason":"Test",
		"type":"Normal","reportingController":"test-controller","reportingInstance":"test-1","regarding":{"kind":"Pod","name":"p","namespace":"default"}}`
	if a := s.Do("POST", events, event); a.Code != 201 {
		t.Fatal(a.Body)
	}
	for path, found := range map[string]int{
		events + "?fieldSelector=reportingController%3Dtest-controller": 1, events + "?fieldSelector=regarding.name%3Dp,type%3DNormal": 1,
		events + "?fieldSelector=reportingController%3Dother": 0, core + "?fieldSelector=source%3Dtest-controller": 1,
		core + "?fieldSelector=involvedObject.name%3Dp": 1, core + "?fieldSelector=reportingComponent%3Dother": 0,
	} {
		a := s.Do("GET", path, "")
		if items, _ := a.Object(t)["items"].([]any); a.Code != 200 || len(items) != found {
			t.Errorf("%s: %d, %d events, want %d\n%s", path, a.Code, len(items), found, a.Body)
		}
	}
	if a := s.Do("GET", events+"?fieldSelector=involvedObject.name%3Dp", ""); a.Code != 400 {
		t.Errorf("the other group's name: %d", a.Code)
	}
}
