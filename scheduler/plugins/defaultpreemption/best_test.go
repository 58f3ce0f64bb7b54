package defaultpreemption

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Each rule is asked only of those whom the rules before it did not tell apart.
func TestTheRuleThatChooses(t *testing.T) {
	t.Parallel()
	started := func(priority int32, second int64) *snapshot.Pod {
		pod := &corev1.Pod{}
		if second > 0 {
			pod.Status.StartTime = &metav1.Time{Time: time.Unix(second, 0)}
		}
		return &snapshot.Pod{Object: pod, Shape: &snapshot.Shape{Priority: priority}}
	}
	victim := func(priority int32) *snapshot.Pod { return started(priority, 0) }
	candidate := func(violations int64, pods ...*snapshot.Pod) Candidate {
		return Candidate{Victims: plugin.Victims{Pods: pods, Violations: violations}}
	}
	for _, test := range []struct {
		want int
		why  string
		list []Candidate
	}{
		{0, "the only candidate", []Candidate{candidate(3, victim(9))}},
		{1, "fewest violated disruption budgets", []Candidate{candidate(1, victim(1)), candidate(0, victim(9), victim(9)), candidate(2, victim(1))}},
		{2, "lowest highest priority among victims", []Candidate{candidate(0, victim(3)), candidate(0, victim(5)), candidate(0, victim(2), victim(2))}},
		{1, "lowest sum of victims' priorities", []Candidate{candidate(0, victim(5), victim(4)), candidate(0, victim(5), victim(-3))}},
		{0, "lowest sum of victims' priorities", []Candidate{candidate(0, victim(0)), candidate(0, victim(0), victim(0))}}, // more victims cost more
		{2, "most important victims started last", []Candidate{candidate(0, started(5, 100)), candidate(0, started(5, 50)), candidate(0, started(5, 200))}},
		{1, "most important victims started last", []Candidate{candidate(0, started(5, 100)), candidate(0, victim(5))}}, // not started yet
		{1, "most important victims started last", []Candidate{candidate(1, victim(5)), candidate(0, started(5, 70), started(3, 10)), candidate(0, started(5, 60), started(3, 10))}},
		{1, "the first of equals", []Candidate{candidate(1, victim(5)), candidate(0, victim(5)), candidate(0, victim(5))}},
	} {
		for i := range test.list {
			test.list[i].weigh()
		}
		if got, why := choose(test.list); got != test.want || why != test.why {
			t.Errorf("%d by %q, want %d by %q", got, why, test.want, test.why)
		}
	}
}
