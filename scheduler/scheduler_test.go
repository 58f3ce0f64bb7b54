package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A pod gets a node that has room, one that fits nowhere is told why in upstream's words, and gets its node when one comes.
//
// conformance: Scheduler, resource limits
func TestPodsGetNodesOrReasons(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("small", "1", "1Gi"), node("large", "4", "8Gi"), node("tainted", "64", "64Gi", tainted("gpu", "", corev1.TaintEffectNoSchedule)))
	c.start()
	c.add(pod("fits", "2", "1Gi"))
	if got := c.nodeOf("fits"); got != "large" {
		t.Errorf("fits is on %s", got)
	}
	if got, want := c.event("fits", "Scheduled"), "Successfully assigned default/fits to large"; got != want {
		t.Errorf("note %q, want %q", got, want)
	}
	c.add(pod("huge", "32", "1Gi"))
	want := "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu."
	if got := c.refusal("huge"); len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("message %q, want it to begin with %q", got, want)
	}
	c.event("huge", "FailedScheduling")
	if _, err := c.CoreV1().Nodes().Create(context.Background(), node("new", "64", "64Gi"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := c.nodeOf("huge"); got != "new" {
		t.Errorf("huge is on %s", got)
	}
}

// A pod that waits for a label gets its node when the label comes; the nodeSelector is respected both ways.
//
// conformance: Scheduler, node selector matching
// conformance: Scheduler, node selector not matching
func TestNodeSelector(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("a", "4", "8Gi"), node("b", "4", "8Gi"))
	c.start()
	c.add(pod("choosy", "1", "", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }))
	if got, want := c.refusal("choosy"), "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."; got[:len(want)] != want {
		t.Errorf("message %q", got)
	}
	if _, err := c.CoreV1().Nodes().Update(context.Background(), node("b", "4", "8Gi", labeled("disk", "ssd")), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := c.nodeOf("choosy"); got != "b" {
		t.Errorf("choosy is on %s", got)
	}
}

// Two pods with the same host port and protocol are kept apart if one wants it on all addresses.
//
// conformance: Scheduling, HostPort and Protocol match, HostIPs different but one is default HostIP (0.0.0.0)
// conformance: Scheduling, HostPort matching and HostIP and Protocol not-matching
func TestHostPorts(t *testing.T) {
	t.Parallel()
	port := func(ip string, protocol corev1.Protocol) podOption {
		return func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80, HostIP: ip, Protocol: protocol}}
		}
	}
	c := fakeAPI(t, node("only", "4", "8Gi"))
	c.start()
	c.add(pod("one", "", "", port("127.0.0.1", corev1.ProtocolTCP)))
	c.nodeOf("one")
	c.add(pod("other-ip", "", "", port("127.0.0.2", corev1.ProtocolTCP)), pod("udp", "", "", port("127.0.0.1", corev1.ProtocolUDP)))
	c.nodeOf("other-ip")
	c.nodeOf("udp")
	c.add(pod("all", "", "", port("0.0.0.0", corev1.ProtocolTCP)))
	if got, want := c.refusal("all"), "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."; got[:len(want)] != want {
		t.Errorf("message %q", got)
	}
}

// A binding that fails gives the room back and is tried again; no pod is bound twice.
func TestFailedBindingIsForgotten(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("only", "1", "1Gi"))
	failed := false
	c.refuse = func(name string) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if name == "first" && !failed {
			failed = true
			return errors.New("the server is not in the mood")
		}
		return nil
	}
	c.start()
	c.add(pod("first", "1", ""))
	c.nodeOf("first")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.binds["first"] != 2 {
		t.Errorf("bound %d times", c.binds["first"])
	}
}

// A binding whose answer is lost was made all the same: the pod is not tried again.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("only", "2", "1Gi"))
	c.lose = func(name string) error {
		if name == "first" {
			return errors.New("the connection broke")
		}
		return nil
	}
	var handler http.Handler
	c.start(func(config *Config) { config.Mount = func(_ string, h http.Handler) { handler = h } })
	c.add(pod("first", "1", ""))
	c.nodeOf("first")
	c.until("the scheduler is done with it", func() bool {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/debug/why/default/first", nil))
		return w.Code == http.StatusOK && !strings.Contains(w.Body.String(), `"queue":`)
	})
	c.add(pod("second", "1", ""))
	c.nodeOf("second")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.binds["first"] != 1 {
		t.Errorf("bound %d times", c.binds["first"])
	}
}

// A pod that needs something of the kubelet goes where that is declared.
func TestDeclaredFeatures(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("plain", "4", "8Gi"))
	c.start()
	c.add(pod("needy", "1", "", func(p *corev1.Pod) {
		p.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestartAllContainers}}
	}))
	if got, want := c.refusal("needy"), "0/1 nodes are available: 1 node(s) didn't match Pod's required features."; !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
	able := node("plain", "4", "8Gi")
	able.Status.DeclaredFeatures = []string{"RestartAllContainersOnContainerExits"}
	if _, err := c.CoreV1().Nodes().UpdateStatus(context.Background(), able, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.nodeOf("needy")
}

// Many pods at once: every node is filled exactly, nothing is bound twice or over the top.
func TestManyPodsFillNodesExactly(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t)
	for i := range 10 {
		if err := c.Tracker().Add(node(fmt.Sprintf("n%d", i), "10", "100Gi")); err != nil {
			t.Fatal(err)
		}
	}
	c.start()
	for i := range 105 {
		c.add(pod(fmt.Sprintf("p%d", i), "1", ""))
	}
	used := map[string]int{}
	c.until("100 pods are bound", func() bool {
		clear(used)
		list, err := c.CoreV1().Pods("default").List(context.Background(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i := range list.Items {
			if name := list.Items[i].Spec.NodeName; name != "" {
				used[name]++
				n++
			}
		}
		return n == 100
	})
	for name, n := range used {
		if n != 10 {
			t.Errorf("%s has %d pods", name, n)
		}
	}
}
