package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientrest "k8s.io/client-go/rest"

	"github.com/septet-io/septet/apiserver"
)

const flowPath = "/apis/flowcontrol.apiserver.k8s.io/v1/"

// header asks as a user and returns a header of the answer.
func (s *Server) header(user, name string) string {
	s.t.Helper()
	client, err := clientrest.HTTPClientFor(s.As(user, "system:authenticated"))
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := client.Get(s.URL + "/api/v1/namespaces/default/pods?limit=1")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.Header.Get(name)
}

// TestEveryClusterHasUpstreamsFlowSchemas and levels, and they come back when somebody deletes or changes them.
func TestEveryClusterHasUpstreamsFlowSchemas(t *testing.T) {
	t.Parallel()
	s := StartComplete(t)
	const producer = "poststarthook/priority-and-fairness-config-producer"
	eventually(t, "all objects there", func() bool { return s.Do("GET", "/readyz/"+producer, "").Code == 200 })
	var list flowcontrolv1.FlowSchemaList
	if err := json.Unmarshal([]byte(s.Do("GET", flowPath+"flowschemas", "").Body), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 11 {
		t.Errorf("%d FlowSchemas", len(list.Items))
	}
	eventually(t, "all conditions told", func() bool {
		return strings.Count(s.Do("GET", flowPath+"flowschemas", "").Body, `"type":"Dangling","status":"False"`) == 11
	})
	s.Do("DELETE", flowPath+"flowschemas/probes", "")
	s.Do("PATCH", flowPath+"prioritylevelconfigurations/system", `{"spec":{"limited":{"nominalConcurrencyShares":99}}}`, "Content-Type", "application/merge-patch+json")
	eventually(t, "put right again", func() bool {
		return s.Do("GET", flowPath+"flowschemas/probes", "").Code == 200 &&
			strings.Contains(s.Do("GET", flowPath+"prioritylevelconfigurations/system", "").Body, `"nominalConcurrencyShares":30`)
	})
	if dump := s.Do("GET", "/debug/api_priority_and_fairness/dump_priority_levels", "").Body; !strings.Contains(dump, "workload-high") {
		t.Errorf("dump: %s", dump)
	}
	eventually(t, "metrics of the levels as they are now", func() bool {
		metrics := s.Do("GET", "/metrics", "").Body
		return strings.Contains(metrics, `apiserver_flowcontrol_nominal_limit_seats{priority_level="workload-low"} 245`) &&
			strings.Contains(metrics, `apiserver_flowcontrol_dispatched_requests_total{flow_schema="exempt",priority_level="exempt"}`)
	})
}

// TestRequestsAreClassified by new FlowSchemas and levels, and answers name both.
func TestRequestsAreClassified(t *testing.T) {
	t.Parallel()
	s := StartComplete(t)
	level := s.Do("POST", flowPath+"prioritylevelconfigurations", `{"metadata":{"name":"mine"},"spec":{"type":"Limited","limited":{"nominalConcurrencyShares":1,"limitResponse":{"type":"Reject"}}}}`)
	schema := s.Do("POST", flowPath+"flowschemas", `{"metadata":{"name":"mine"},"spec":{"matchingPrecedence":1000,"priorityLevelConfiguration":{"name":"mine"},
		"distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"User","user":{"name":"noxu"}}],
		"resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"namespaces":["*"],"clusterScope":true}]}]}}`)
	uid := func(a Answer) string { return a.Object(t)["metadata"].(map[string]any)["uid"].(string) }
	eventually(t, "classified", func() bool { return s.header("noxu", "X-Kubernetes-PF-FlowSchema-UID") == uid(schema) })
	if got := s.header("noxu", "X-Kubernetes-PF-PriorityLevel-UID"); got != uid(level) {
		t.Errorf("level %q, want %q", got, uid(level))
	}
	if got := s.header("somebody", "X-Kubernetes-PF-FlowSchema-UID"); got == uid(schema) {
		t.Error("somebody else is classified alike")
	}
	s.Do("DELETE", flowPath+"prioritylevelconfigurations/mine", "")
	eventually(t, "dangling", func() bool {
		return strings.Contains(s.Do("GET", flowPath+"flowschemas/mine", "").Body, `references the PriorityLevelConfiguration object named \"mine\" but there is no such object`)
	})
}

// TestFlowSchemasAndLevelsHaveAllVerbs and a status of their own.
//
// conformance: Priority and Fairness FlowSchema API
// conformance: Priority and Fairness PriorityLevelConfiguration API
func TestFlowSchemasAndLevelsHaveAllVerbs(t *testing.T) {
	t.Parallel()
	s := Start(t)
	for resource, spec := range map[string]string{
		"flowschemas":                 `{"matchingPrecedence":9000,"priorityLevelConfiguration":{"name":"mine"}}`,
		"prioritylevelconfigurations": `{"type":"Limited","limited":{"nominalConcurrencyShares":2,"limitResponse":{"type":"Reject"}}}`,
	} {
		for _, document := range []string{"/apis", "/apis/flowcontrol.apiserver.k8s.io"} {
			if a := s.Do("GET", document, ""); !strings.Contains(a.Body, `"groupVersion":"flowcontrol.apiserver.k8s.io/v1"`) {
				t.Errorf("%s: %s", document, a.Body)
			}
		}
		if a := s.Do("GET", strings.TrimSuffix(flowPath, "/"), ""); !strings.Contains(a.Body, `"name":"`+resource+`/status"`) {
			t.Errorf("%s", a.Body)
		}
		all, one := flowPath+resource, flowPath+resource+"/one"
		expect := func(what string, a Answer, code int, holds string) {
			if a.Code != code || !strings.Contains(a.Body, holds) {
				t.Errorf("%s %s: %d %s", what, resource, a.Code, a.Body)
			}
		}
		made := s.Do("POST", all, `{"metadata":{"name":"one","labels":{"test":"a"}},"spec":`+spec+`}`)
		expect("create", made, 201, `"name":"one"`)
		expect("get", s.Do("GET", one, ""), 200, `"test":"a"`)
		expect("list", s.Do("GET", all+"?labelSelector=test%3Da", ""), 200, `"name":"one"`)
		expect("patch", s.Do("PATCH", one, `{"metadata":{"annotations":{"patched":"true"}}}`, "Content-Type", "application/merge-patch+json"), 200, `"patched":"true"`)
		expect("update", s.Do("PUT", one, strings.Replace(s.Do("GET", one, "").Body, `"patched":"true"`, `"updated":"true"`, 1)), 200, `"updated":"true"`)
		const condition = `{"status":{"conditions":[{"type":"Test","status":"True","reason":"Tested","message":"so","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
		expect("patch status of", s.Do("PATCH", one+"/status", condition, "Content-Type", "application/merge-patch+json"), 200, `"reason":"Tested"`)
		expect("get status of", s.Do("GET", one+"/status", ""), 200, `"reason":"Tested"`)
		version := made.Object(t)["metadata"].(map[string]any)["resourceVersion"].(string)
		expect("watch", s.Do("GET", all+"?watch=1&timeoutSeconds=1&resourceVersion="+version, ""), 200, `{"type":"MODIFIED"`)
		expect("delete", s.Do("DELETE", one, ""), 200, `"status":"Success"`)
		s.Do("POST", all, `{"metadata":{"name":"two","labels":{"test":"a"}},"spec":`+spec+`}`)
		expect("deletecollection of", s.Do("DELETE", all+"?labelSelector=test%3Da", ""), 200, "")
		expect("list what is left of", s.Do("GET", all, ""), 200, `"items":[]`)
	}
}

// TestAServerThatEndsLetsRequestsEnd and tells others to go elsewhere.
func TestAServerThatEndsLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	s := Start(t, func(c *apiserver.Config) {
		c.ShutdownSendRetryAfter = true
		c.Paths = map[string]http.Handler{"/slow": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(reached)
			<-release
			fmt.Fprint(w, "done")
		})}
	})
	client, err := clientrest.HTTPClientFor(s.Admin())
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string, http.Header) {
		answer, err := client.Get(s.URL + path)
		if err != nil {
			return 0, err.Error(), nil
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(body), answer.Header
	}
	var group sync.WaitGroup
	group.Go(func() {
		if code, body, _ := get("/slow"); code != 200 || body != "done" {
			t.Errorf("the request under way: %d %s", code, body)
		}
	})
	<-reached
	watch, err := s.InProcess("admin", "system:masters").CoreV1().ConfigMaps("default").Watch(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	group.Go(s.Stop)
	eventually(t, "not ready", func() bool {
		code, body, _ := get("/readyz?verbose")
		return code == 500 && strings.Contains(body, "[-]shutdown failed: reason withheld\n")
	})
	eventually(t, "nothing new is taken", func() bool {
		code, body, header := get("/api/v1/namespaces")
		return code == 429 && header.Get("Retry-After") == "5" && body == "The apiserver is shutting down, please try again later.\n"
	})
	if code, _, _ := get("/livez"); code != 200 {
		t.Errorf("the server does not count as alive: %d", code)
	}
	close(release)
	group.Wait()
	for range watch.ResultChan() {
	}
}
