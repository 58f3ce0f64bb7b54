package scheduler

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/profile"
	"github.com/septet-io/septet/scheduler/queue"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Why a pod is where it is can be asked after the fact, as it was at the moment; why one is pending, with what would help; and
// where one would go that does not exist.
func TestWhy(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("a", "2", "8Gi"), node("b", "4", "8Gi"), node("c", "8", "8Gi", tainted("gpu", "yes", corev1.TaintEffectNoSchedule)))
	var handler http.Handler
	c.start(func(config *Config) {
		config.Mount = func(_ string, h http.Handler) { handler = h }
	})
	why := func(method, path, body string) *Decision {
		t.Helper()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		if w.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		d := &Decision{}
		if err := json.Unmarshal(w.Body.Bytes(), d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	c.add(pod("first", "3", ""))
	c.nodeOf("first")
	c.add(pod("second", "2", ""))
	c.nodeOf("second")
	d := why("GET", "/debug/why/default/first", "")
	if d.Outcome != Scheduled || d.Node != "b" || d.AsOf != "decision" || len(d.Nodes) != 3 {
		t.Errorf("first: %+v", d)
	}
	for _, n := range d.Nodes {
		switch n.Node {
		case "a":
			if len(n.Refusals) != 1 || n.Refusals[0].Plugin != "NodeResourcesFit" || n.Refusals[0].Remedies[0] != "ask for at most 2 cpu to fit an empty a" {
				t.Errorf("a: %+v", n)
			}
		case "b":
			if !n.Feasible || len(n.Scores) == 0 || n.Refusals != nil {
				t.Errorf("b as it was then: %+v", n)
			}
		case "c":
			if len(n.Refusals) != 1 || n.Refusals[0].Remedies[0] != "remove taint gpu=yes:NoSchedule from c, or tolerate it" {
				t.Errorf("c: %+v", n)
			}
		}
	}
	c.add(pod("third", "2", ""))
	c.refusal("third")
	d = why("GET", "/debug/why/default/third", "")
	if d.Outcome != Unschedulable || d.Queue == nil || len(d.Queue.For) == 0 || len(d.Remedies) == 0 {
		t.Errorf("third: %+v, queue %+v", d, d.Queue)
	}
	if !strings.HasPrefix(d.Message, "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu.") {
		t.Errorf("message %q", d.Message)
	}
	var text strings.Builder
	if err := d.Tell(&text, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Pod default/third: unschedulable: 0/3 nodes", "waits for", "It would fit with any of:", "NODE", "free "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
	d = why("POST", "/debug/why", "apiVersion: v1\nkind: Pod\nmetadata: {name: idea}\nspec: {containers: [{name: c, image: app:1}], tolerations: [{operator: Exists}]}\n")
	if d.Outcome != Undecided || d.Feasible != 3 || d.Node == "" {
		t.Errorf("idea: %+v", d)
	}
	if !slices.Contains(d.Filters, "NodeResourcesFit") {
		t.Errorf("filters %v", d.Filters)
	}
	// All that would have to change on a node is told together, the nodes where least has to change first.
	d = why("POST", "/debug/why?namespace=team", "apiVersion: v1\nkind: Pod\nmetadata: {name: much}\nspec: {nodeSelector: {disk: ssd}, containers: [{name: c, image: app:1, resources: {limits: {cpu: 6}}}]}\n")
	if want := "remove taint gpu=yes:NoSchedule from c, or tolerate it, and label c with disk=ssd"; d.Namespace != "team" || !slices.Contains(d.Remedies, want) {
		t.Errorf("much: %q, want %q", d.Remedies, want)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/debug/why/default/nobody", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("nobody: %d %s", w.Code, w.Body)
	}
}

// BenchmarkNote is what remembering a decision costs, on the way of every pod.
func BenchmarkNote(b *testing.B) {
	s := &scheduler{server: &server{}, snapshot: snapshot.New(), now: time.Now}
	s.snapshot.SetNode(node("a", "64", "64Gi"))
	a := newArchive()
	pods := make([]*attempt, 2*archiveSize)
	for i := range pods {
		p := s.snapshot.NewPod(pod(fmt.Sprint(i), "1", ""))
		pods[i] = &attempt{entry: &queue.Entry{Pod: p}, profile: &profile.Profile{Name: "default-scheduler"}}
	}
	result := decide.Result{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.note(pods[i%len(pods)], &result, s.snapshot.Moment(), s)
	}
}
