package evict

import (
	"context"
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestThresholdsAreRead(t *testing.T) {
	t.Parallel()
	if all, err := Parse(Defaults(), nil, nil, nil); err != nil || len(all) != 5 {
		t.Errorf("defaults: %v, %v", all, err)
	}
	for name, bad := range map[string]func() error{
		"signal": func() error { _, err := Parse(map[string]string{"x": "1"}, nil, nil, nil); return err },
		"quantity": func() error {
			_, err := Parse(map[string]string{"memory.available": "much"}, nil, nil, nil)
			return err
		},
		"percent": func() error {
			_, err := Parse(map[string]string{"memory.available": "120%"}, nil, nil, nil)
			return err
		},
		"grace": func() error { _, err := Parse(nil, map[string]string{"memory.available": "1Gi"}, nil, nil); return err },
	} {
		if bad() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func victim(name string, memory string, used int64, priority int32, annotations map[string]string) Candidate {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}, Spec: v1.PodSpec{Priority: ptr.To(priority), Containers: []v1.Container{{Name: "c"}}}}
	if memory != "" {
		pod.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceMemory: resource.MustParse(memory)}
	}
	return Candidate{Pod: pod, Usage: Usage{Memory: used << 20}}
}

func TestRankPutsThoseFirstThatUseMoreThanTheyAskedFor(t *testing.T) {
	t.Parallel()
	ranked := Rank([]Candidate{
		victim("within", "500Mi", 400, 0, nil), victim("important", "100Mi", 900, 10, nil), victim("over", "100Mi", 200, 0, nil),
		victim("far over", "100Mi", 800, 0, nil), victim("static", "", 900, 0, map[string]string{"kubernetes.io/config.source": "file"}),
		victim("critical", "", 900, 2000000000, nil),
	}, v1.ResourceMemory)
	var names []string
	for _, c := range ranked {
		names = append(names, c.Pod.Name)
	}
	if got := fmt.Sprint(names); got != "[far over over important within]" {
		t.Errorf("order is %s", got)
	}
}

func TestANodeShortOfMemoryEvictsOnePodAtATime(t *testing.T) {
	t.Parallel()
	thresholds, err := Parse(map[string]string{"memory.available": "100Mi"}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(500 << 20)
	var evicted []string
	changes := 0
	w := New(Config{
		Thresholds: thresholds, Transition: time.Minute,
		Observe: func(context.Context) (map[Signal]Observation, error) {
			return map[Signal]Observation{MemoryAvailable: {Available: left, Capacity: 1 << 30}}, nil
		},
		Candidates: func(context.Context) []Candidate {
			return []Candidate{victim("big", "", 700, 0, nil), victim("small", "", 10, 0, nil)}
		},
		Evict: func(pod *v1.Pod, reason, message string, grace int64) {
			evicted = append(evicted, fmt.Sprintf("%s %s %d: %s", pod.Name, reason, grace, message))
		},
		Changed: func() { changes++ },
	})
	now := time.Now()
	w.Once(context.Background(), now)
	if len(evicted) != 0 || w.Under(now)[v1.NodeMemoryPressure] {
		t.Errorf("with enough left: %v", evicted)
	}
	left = 50 << 20
	w.Once(context.Background(), now)
	want := "big Evicted 0: The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container c was using 700Mi, request is 0, has larger consumption of memory. "
	if len(evicted) != 1 || evicted[0] != want {
		t.Errorf("evicted: %q", evicted)
	}
	if c := w.Conditions()[0]; c.Status != v1.ConditionTrue || c.Reason != "KubeletHasInsufficientMemory" || changes != 1 {
		t.Errorf("condition: %+v after %d changes", c, changes)
	}
	left = 500 << 20
	if w.Once(context.Background(), now.Add(30*time.Second)); !w.Under(now.Add(30 * time.Second))[v1.NodeMemoryPressure] {
		t.Error("the condition went at once")
	}
	if w.Under(now.Add(2 * time.Minute))[v1.NodeMemoryPressure] {
		t.Error("the condition stayed")
	}
}
