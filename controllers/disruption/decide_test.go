package disruption

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func pod(name string, ready bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return p
}

func TestDecide(t *testing.T) {
	t.Parallel()
	value := func(text string) *intstr.IntOrString { v := intstr.Parse(text); return &v }
	three := []*corev1.Pod{pod("a", true), pod("b", true), pod("c", true)}
	for _, test := range []struct {
		name                         string
		minAvailable, maxUnavailable string
		pods                         []*corev1.Pod
		disrupted                    map[string]metav1.Time
		want                         string
	}{
		{"two must stay", "2", "", three, nil, "allowed 1, healthy 3 of 2, expected 3"},
		{"all must stay", "3", "", three, nil, "allowed 0, healthy 3 of 3, expected 3"},
		{"one is not ready", "2", "", []*corev1.Pod{pod("a", true), pod("b", true), pod("c", false)}, nil, "allowed 0, healthy 2 of 2, expected 3"},
		{"half of ten must stay", "50%", "", three, nil, "allowed 0, healthy 3 of 5, expected 10"},
		{"eight of ten may go", "", "8", three, nil, "allowed 1, healthy 3 of 2, expected 10"},
		{"nobody is there", "0", "", nil, nil, "allowed 0, healthy 0 of 0, expected 0"},
		{"one is about to go", "1", "", three, map[string]metav1.Time{"a": metav1.NewTime(now.Add(-time.Minute))}, "allowed 1, healthy 2 of 1, expected 3, one announced, again in 1m0s"},
		{"one was, but did not", "1", "", three, map[string]metav1.Time{"a": metav1.NewTime(now.Add(-3 * time.Minute))}, "allowed 2, healthy 3 of 1, expected 3, one late"},
	} {
		budget := &policyv1.PodDisruptionBudget{Status: policyv1.PodDisruptionBudgetStatus{DisruptedPods: test.disrupted}}
		if test.minAvailable != "" {
			budget.Spec.MinAvailable = value(test.minAvailable)
		}
		if test.maxUnavailable != "" {
			budget.Spec.MaxUnavailable = value(test.maxUnavailable)
		}
		r := Decide(Snapshot{Budget: budget, Pods: test.pods, Scale: 10, Now: now})
		got := fmt.Sprintf("allowed %d, healthy %d of %d, expected %d", r.Status.DisruptionsAllowed, r.Status.CurrentHealthy, r.Status.DesiredHealthy, r.Status.ExpectedPods)
		if len(r.Status.DisruptedPods) > 0 {
			got += ", one announced"
		}
		if len(r.Late) > 0 {
			got += ", one late"
		}
		if r.After > 0 {
			got += fmt.Sprintf(", again in %v", r.After)
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		reason := r.Status.Conditions[0].Reason
		if (r.Status.DisruptionsAllowed > 0) != (reason == "SufficientPods") {
			t.Errorf("%s: condition %s", test.name, reason)
		}
	}
}

func TestAnnouncementsEndAfterTwoMinutes(t *testing.T) {
	t.Parallel()
	p := pod("a", true)
	if _, is := announcement(p, now); is {
		t.Error("one is announced without a condition")
	}
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Minute)),
	})
	if left, is := announcement(p, now); !is || left != time.Minute {
		t.Errorf("%v, %v", left, is)
	}
	p.DeletionTimestamp = &metav1.Time{}
	if _, is := announcement(p, now); is {
		t.Error("one that goes is still waited for")
	}
}
