package scheduler

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// A pod of high priority evicts the least important pod that is in its way, says so, and takes its place.
//
// conformance: Scheduler, Basic Preemption
// conformance: Scheduler, Preemption for critical pod
func TestPreemption(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("a", "2", "8Gi"), node("b", "2", "8Gi"))
	c.start()
	c.add(pod("medium", "2", "", priority(100)))
	taken := c.nodeOf("medium")
	c.add(pod("low", "2", "", priority(1)))
	other := c.nodeOf("low")
	if taken == other {
		t.Fatalf("both on %s", taken)
	}
	c.add(pod("never", "2", "", priority(50), func(p *corev1.Pod) { p.Spec.PreemptionPolicy = ptr.To(corev1.PreemptNever) }))
	want := "0/2 nodes are available: 2 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
	if got := c.refusal("never"); got != want {
		t.Errorf("message\n%q, want\n%q", got, want)
	}
	c.add(pod("weak", "2", "", priority(1)))
	want = "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
	if got := c.refusal("weak"); got != want {
		t.Errorf("message\n%q, want\n%q", got, want)
	}
	c.add(pod("high", "2", "", priority(1000)))
	if got := c.nodeOf("high"); got != other {
		t.Errorf("high is on %s, want %s", got, other)
	}
	if got, want := c.event("low", "Preempted"), "Preempted by pod uid-high on node "+other; got != want {
		t.Errorf("note %q, want %q", got, want)
	}
	if _, err := c.CoreV1().Pods("default").Get(context.Background(), "low", metav1.GetOptions{}); err == nil {
		t.Error("low is still there")
	}
}

// Where a budget protects a victim, another node's pods go instead.
func TestPreemptionRespectsBudgets(t *testing.T) {
	t.Parallel()
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "keep"},
		Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}}}
	c := fakeAPI(t, node("a", "2", "8Gi"), node("b", "2", "8Gi"), budget,
		pod("db", "2", "", on("a"), podLabel("app", "db"), priority(1)), pod("web", "2", "", on("b"), priority(5)))
	c.start()
	c.add(pod("high", "2", "", priority(1000)))
	if got := c.nodeOf("high"); got != "b" {
		t.Errorf("high is on %s", got)
	}
}

// Preempting pods that come in numbers take one node each, and evict nobody in vain.
func TestManyPreemptors(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t)
	for i := range 20 {
		name := fmt.Sprintf("n%d", i)
		if err := c.Tracker().Add(node(name, "4", "32Gi")); err != nil {
			t.Fatal(err)
		}
		for j := range 4 {
			if err := c.Tracker().Add(pod(fmt.Sprintf("low-%d-%d", i, j), "1", "", on(name), atOnce)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.start()
	for i := range 15 {
		c.add(pod(fmt.Sprintf("high%d", i), "3", "", priority(10)))
	}
	nodes := map[string]bool{}
	for i := range 15 {
		nodes[c.nodeOf(fmt.Sprintf("high%d", i))] = true
	}
	if len(nodes) != 15 {
		t.Errorf("%d nodes for 15 pods", len(nodes))
	}
	list, err := c.CoreV1().Pods("default").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 15+80-45 {
		t.Errorf("%d pods are left, want %d", len(list.Items), 15+80-45)
	}
	events, err := c.EventsV1().Events("default").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items { // victims that leave at once are waited for
		if e.Reason == "FailedScheduling" && strings.Contains(e.Note, "terminating") {
			t.Errorf("%s: %s", e.Regarding.Name, e.Note)
		}
	}
}

// atOnce lets a pod leave as soon as it is deleted.
func atOnce(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0) }
