package podgc

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/controllers/controltest"
)

func pod(name string, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{NodeName: "n"}}
	p.Status.Phase = corev1.PodRunning
	for _, f := range edit {
		f(p)
	}
	return p
}

func going(p *corev1.Pod) {
	p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	p.Finalizers = []string{"test/keep"}
}

func TestOldest(t *testing.T) {
	t.Parallel()
	ended := func(name string, age time.Duration, reason string) *corev1.Pod {
		return pod(name, func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason = corev1.PodFailed, reason
			p.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-age))
		})
	}
	all := []*corev1.Pod{ended("young", time.Minute, ""), ended("old", time.Hour, ""), pod("running"), ended("evicted", time.Second, "Evicted")}
	for threshold, want := range map[int][]string{0: nil, 1: {"evicted", "old"}, 2: {"evicted"}, 3: nil} {
		var got []string
		for _, p := range Oldest(all, threshold) {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("with room for %d: %v, want %v", threshold, got, want)
		}
	}
}

func TestStuck(t *testing.T) {
	t.Parallel()
	node := func(ready corev1.ConditionStatus, taints ...string) *corev1.Node {
		n := &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
		for _, key := range taints {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key})
		}
		return n
	}
	for _, test := range []struct {
		name string
		pod  *corev1.Pod
		node *corev1.Node
		want Reason
	}{
		{"not being deleted", pod("p"), node(corev1.ConditionUnknown, corev1.TaintNodeOutOfService), ""},
		{"on a good node", pod("p", going), node(corev1.ConditionTrue), ""},
		{"on a node that is silent", pod("p", going), node(corev1.ConditionUnknown), ""},
		{"on a node that is out of service", pod("p", going), node(corev1.ConditionUnknown, corev1.TaintNodeOutOfService), OutOfService},
		{"on one that says so and works", pod("p", going), node(corev1.ConditionTrue, corev1.TaintNodeOutOfService), ""},
		{"never bound", pod("p", going, func(p *corev1.Pod) { p.Spec.NodeName = "" }), nil, Unscheduled},
	} {
		if got := Stuck(test.pod, test.node); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestTooManyEndedPods has the controller delete on a fake API.
func TestTooManyEndedPods(t *testing.T) {
	t.Parallel()
	w := controltest.New(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	for i := range 4 {
		p := pod(fmt.Sprint("p", i), func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
		if _, err := w.CoreV1().Pods("default").Create(context.Background(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.Run(w.Must(New(w.Set, 1)))
	w.Eventually(func() string {
		list, err := w.CoreV1().Pods("default").List(context.Background(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 {
			return fmt.Sprintf("%d pods, %v", len(list.Items), err)
		}
		return ""
	})
}
