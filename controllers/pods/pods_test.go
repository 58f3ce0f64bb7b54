package pods

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// running returns a Pod that has been there and ready for an hour.
func running(name string, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Spec:       corev1.PodSpec{NodeName: "n"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	readySince(now.Add(-time.Hour))(p)
	for _, f := range edit {
		f(p)
	}
	return p
}

func readySince(t time.Time) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(t)}}
	}
}

func TestTheMostDispensablePodGoesFirst(t *testing.T) {
	t.Parallel()
	keep := running("keep")
	cost := func(text string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.PodDeletionCost: text} }
	}
	for name, other := range map[string]*corev1.Pod{
		"has no node":                 running("z", func(p *corev1.Pod) { p.Spec.NodeName = "" }),
		"is pending":                  running("z", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }),
		"is not ready":                running("z", func(p *corev1.Pod) { p.Status.Conditions = nil }),
		"is said to cost less":        running("z", cost("-1")),
		"has been ready for a minute": running("z", readySince(now.Add(-time.Minute))),
		"has restarted": running("z", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 1}}
		}),
		"is a minute old": running("z", func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(now.Add(-time.Minute)) }),
	} {
		for _, both := range [][]*corev1.Pod{{keep, other}, {other, keep}} {
			if got := ToDelete(both, nil, 1, now); len(got) != 1 || got[0] != other {
				t.Errorf("one that %s stays", name)
			}
		}
	}
	crowded := running("z", func(p *corev1.Pod) { p.Spec.NodeName = "crowded" })
	sibling := running("sibling", func(p *corev1.Pod) { p.Spec.NodeName = "crowded" })
	if got := ToDelete([]*corev1.Pod{keep, crowded}, []*corev1.Pod{keep, crowded, sibling}, 1, now); got[0] != crowded {
		t.Error("the one on the crowded node stays")
	}
	for text, want := range map[string]int64{"": 0, "5": 5, "-5": -5, "+5": 0, "05": 0, "x": 0, "99999999999": 0} {
		if got := deletionCost(running("p", cost(text))); got != want {
			t.Errorf("cost %q is %d", text, got)
		}
	}
}

func TestAvailability(t *testing.T) {
	t.Parallel()
	fresh := running("p", readySince(now.Add(-4*time.Second)))
	if !Available(fresh, 0, now) || !Available(fresh, 4, now) || Available(fresh, 10, now) {
		t.Error("availability does not follow minReadySeconds")
	}
	if got := UntilAvailable([]*corev1.Pod{running("a"), fresh, running("b", func(p *corev1.Pod) { p.Status.Conditions = nil })}, 10, now); got != 6*time.Second {
		t.Errorf("the next is available in %v", got)
	}
}

func TestSlowStartStopsEarly(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	n, err := SlowStart(100, func(i int) error {
		calls.Add(1)
		if i >= 3 {
			return fmt.Errorf("no %d", i)
		}
		return nil
	})
	// Batches of 1, 2 and 4: the third fails.
	if n != 3 || err == nil || calls.Load() != 7 {
		t.Errorf("%d succeeded of %d calls, %v", n, calls.Load(), err)
	}
	if n, err := SlowStart(10, func(int) error { return nil }); n != 10 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if errs := Parallel(3, func(i int) error { return []error{nil, errors.New("one"), errors.New("two")}[i] }); len(errs) != 2 || errs[0].Error() != "one" {
		t.Errorf("%v", errs)
	}
}

func TestFromTemplateSharesNothing(t *testing.T) {
	t.Parallel()
	template := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}, Finalizers: []string{"f"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}},
	}
	p := FromTemplate(template, &metav1.ObjectMeta{Namespace: "default", Name: "web"}, metav1.OwnerReference{UID: "o"})
	p.Labels["a"], p.Finalizers[0], p.Spec.Containers[0].Name = "x", "x", "x"
	if template.Labels["a"] != "b" || template.Finalizers[0] != "f" || template.Spec.Containers[0].Name != "c" {
		t.Error("the template was changed")
	}
	if p.GenerateName != "web-" || p.Namespace != "default" {
		t.Errorf("generated from %q", p.GenerateName)
	}
}

func BenchmarkToDelete(b *testing.B) {
	var all []*corev1.Pod
	for i := range 500 {
		all = append(all, running(fmt.Sprint(i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		ToDelete(all, all, 100, now)
	}
}
