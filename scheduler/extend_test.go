package scheduler

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
)

// outside is an extender: it filters out one node, prefers another, and can hang, lie or talk rubbish.
func outside(t *testing.T, mode *atomic.Value) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var args extenderv1.ExtenderArgs
		if err := json.NewDecoder(r.Body).Decode(&args); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		switch mode.Load().(string) {
		case "hang":
			<-r.Context().Done()
			return
		case "rubbish":
			_, _ = w.Write([]byte("<html>"))
			return
		case "lie":
			_ = json.NewEncoder(w).Encode(extenderv1.ExtenderFilterResult{NodeNames: &[]string{"atlantis"}})
			return
		}
		if r.URL.Path == "/prioritize" {
			_ = json.NewEncoder(w).Encode(extenderv1.HostPriorityList{{Host: "b", Score: 10}, {Host: "c", Score: 99999}, {Host: "nowhere", Score: 10}})
			return
		}
		result := extenderv1.ExtenderFilterResult{NodeNames: &[]string{}, FailedNodes: extenderv1.FailedNodesMap{}}
		for _, name := range *args.NodeNames {
			if name == "c" || args.Pod.Name == "unwanted" {
				result.FailedNodes[name] = "the extender does not like it"
			} else {
				*result.NodeNames = append(*result.NodeNames, name)
			}
		}
		_ = json.NewEncoder(w).Encode(result)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// An extender filters and rates. One that hangs, lies or talks rubbish costs its own pods only, and they go on when it recovers.
func TestExtenders(t *testing.T) {
	t.Parallel()
	var mode atomic.Value
	mode.Store("")
	url := outside(t, &mode)
	c := fakeAPI(t, node("a", "4", "8Gi"), node("b", "4", "8Gi"), node("c", "64", "64Gi"))
	c.start(withComponent(func(component *schedulerv1.KubeSchedulerConfiguration) {
		component.Extenders = []schedulerv1.Extender{{URLPrefix: url, FilterVerb: "filter", PrioritizeVerb: "prioritize", Weight: 5, NodeCacheCapable: true,
			HTTPTimeout: metav1.Duration{Duration: 300 * time.Millisecond}, ManagedResources: []schedulerv1.ExtenderManagedResource{{Name: "example.com/thing", IgnoredByScheduler: true}}}}
	}))
	thing := func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests["example.com/thing"] = *p.Spec.Containers[0].Resources.Requests.Cpu()
	}
	c.add(pod("managed", "1", "", thing))
	if got := c.nodeOf("managed"); got != "b" {
		t.Errorf("managed is on %s", got)
	}
	c.add(pod("unwanted", "1", "", thing))
	if got, want := c.refusal("unwanted"), "0/3 nodes are available: 3 the extender does not like it."; !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
	for _, m := range []string{"hang", "rubbish", "lie"} {
		mode.Store(m)
		c.add(pod(m, "100m", "", thing), pod("other-"+m, "100m", ""))
		c.nodeOf("other-" + m)
		message := c.refusal(m)
		if !strings.Contains(message, "extender") {
			t.Errorf("%s: message %q", m, message)
		}
		mode.Store("")
		c.nodeOf(m)
	}
}
