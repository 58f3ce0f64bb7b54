package hpa

import (
	"fmt"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// pod returns a Pod that has been running and ready for an hour and requests one CPU.
func pod(name string, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
		}}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &metav1.Time{Time: now.Add(-time.Hour)},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}},
		},
	}
	for _, f := range edit {
		f(p)
	}
	return p
}

func starting(p *corev1.Pod) {
	p.Status.StartTime = &metav1.Time{Time: now.Add(-time.Minute)}
	p.Status.Conditions[0].Status = corev1.ConditionFalse
}

func pending(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }

func TestPropose(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		pods  []*corev1.Pod
		usage map[string]int64 // thousandths of a CPU
		want  string
	}{
		{"at the target", []*corev1.Pod{pod("a"), pod("b")}, map[string]int64{"a": 500, "b": 500}, "2 at 50%"},
		{"within tolerance", []*corev1.Pod{pod("a"), pod("b")}, map[string]int64{"a": 540, "b": 540}, "2 at 54%"},
		{"too busy", []*corev1.Pod{pod("a"), pod("b")}, map[string]int64{"a": 900, "b": 900}, "4 at 90%"},
		{"too idle", []*corev1.Pod{pod("a"), pod("b"), pod("c"), pod("d")}, map[string]int64{"a": 100, "b": 100, "c": 100, "d": 100}, "1 at 10%"},
		{"a silent Pod counts as idle when more are needed", []*corev1.Pod{pod("a"), pod("b"), pod("c")}, map[string]int64{"a": 1000, "b": 1000}, "4 at 100%"},
		{"and as fully busy when fewer are", []*corev1.Pod{pod("a"), pod("b"), pod("c")}, map[string]int64{"a": 100, "b": 100}, "3 at 10%"},
		{"a starting Pod counts as idle when more are needed", []*corev1.Pod{pod("a"), pod("b", starting)}, map[string]int64{"a": 1000, "b": 1000}, "2 at 100%"},
		{"a pending one too", []*corev1.Pod{pod("a"), pod("b", pending)}, map[string]int64{"a": 1000}, "2 at 100%"},
		{"nothing is known", []*corev1.Pod{pod("a", pending)}, nil, "did not receive metrics for targeted pods (pods might be unready)"},
		{"nobody is there", nil, nil, "no pods returned by selector while calculating replica count"},
	} {
		l := &Load{
			Pods: test.pods, Samples: map[string]Sample{}, Current: int32(len(test.pods)), Target: 50, CPU: true, Up: 0.1, Down: 0.1,
			Initialization: 5 * time.Minute, ReadinessDelay: 30 * time.Second, Now: now,
		}
		for name, milli := range test.usage {
			l.Samples[name] = Sample{Milli: milli, Time: now, Window: time.Minute}
		}
		var err error
		if l.Requests, err = requests(test.pods, "", corev1.ResourceCPU); err != nil {
			t.Fatal(err)
		}
		proposal, err := l.Propose()
		got := fmt.Sprintf("%d at %d%%", proposal.Replicas, proposal.Utilization)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if _, err := requests([]*corev1.Pod{pod("a")}, "", corev1.ResourceMemory); err == nil || err.Error() != "missing request for memory in container main of Pod a" {
		t.Errorf("without a request: %v", err)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	minute := func(n int32) Moment { return Moment{now.Add(-time.Minute), n} }
	rules := func(kind autoscalingv2.HPAScalingPolicyType, value int32) *autoscalingv2.HPAScalingRules {
		return &autoscalingv2.HPAScalingRules{
			StabilizationWindowSeconds: ptr.To[int32](0), SelectPolicy: ptr.To(autoscalingv2.MaxChangePolicySelect),
			Policies: []autoscalingv2.HPAScalingPolicy{{Type: kind, Value: value, PeriodSeconds: 120}},
		}
	}
	off := &autoscalingv2.HPAScalingRules{SelectPolicy: ptr.To(autoscalingv2.DisabledPolicySelect), StabilizationWindowSeconds: ptr.To[int32](0)}
	for _, test := range []struct {
		name            string
		current, wanted int32
		past            Past
		behavior        *autoscalingv2.HorizontalPodAutoscalerBehavior
		want            string
	}{
		{"within", 5, 6, Past{}, nil, "6 DesiredWithinRange"},
		{"beyond the maximum", 9, 30, Past{}, nil, "10 TooManyReplicas"},
		{"below the minimum", 5, 0, Past{}, nil, "2 TooFewReplicas"},
		{"faster than doubling", 3, 10, Past{}, nil, "6 ScaleUpLimit"},
		{"a higher recommendation still holds", 8, 3, Past{Recommendations: []Moment{minute(7)}}, nil, "7 DesiredWithinRange"},
		{"an old one does not", 8, 3, Past{Recommendations: []Moment{{now.Add(-time.Hour), 7}}}, nil, "3 DesiredWithinRange"},
		{"four Pods in two minutes", 3, 10, Past{}, &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: rules(autoscalingv2.PodsScalingPolicy, 4)}, "7 ScaleUpLimit"},
		{"of which three came a minute ago", 6, 10, Past{Ups: []Moment{minute(3)}},
			&autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: rules(autoscalingv2.PodsScalingPolicy, 4)}, "7 ScaleUpLimit"},
		{"half in two minutes", 8, 2, Past{}, &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: rules(autoscalingv2.PercentScalingPolicy, 50)}, "4 ScaleDownLimit"},
		{"never down", 8, 2, Past{}, &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: off}, "8 ScaleDownLimit"},
	} {
		got := Limit(test.current, test.wanted, &test.past, Bounds{Min: 2, Max: 10, Behavior: test.behavior, DownscaleStabilization: 5 * time.Minute}, now)
		if text := fmt.Sprintf("%d %s", got.Replicas, got.Reason); text != test.want {
			t.Errorf("%s: %s, want %s", test.name, text, test.want)
		}
	}
}
