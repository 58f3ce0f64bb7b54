package namespace

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestConditionsSayWhatHoldsANamespaceUp(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	o := outcome{
		discovery: errors.New("unable to retrieve the complete list of server APIs: broken.example.com/v1"), deletion: []error{errors.New("no pods")},
		remaining: map[string]int{"pods.": 2, "widgets.example.com": 1}, finalizers: map[string]int{"example.com/keep": 1},
	}
	want := map[corev1.NamespaceConditionType][2]string{
		corev1.NamespaceDeletionDiscoveryFailure: {"DiscoveryFailed", "Discovery failed for some groups, unable to retrieve the complete list of server APIs: broken.example.com/v1"},
		corev1.NamespaceDeletionGVParsingFailure: {"ParsedGroupVersions", "All legacy kube types successfully parsed"},
		corev1.NamespaceDeletionContentFailure:   {"ContentDeletionFailed", "Failed to delete all resource types, 1 remaining: no pods"},
		corev1.NamespaceContentRemaining:         {"SomeResourcesRemain", "Some resources are remaining: pods. has 2 resource instances, widgets.example.com has 1 resource instances"},
		corev1.NamespaceFinalizersRemaining:      {"SomeFinalizersRemain", "Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances"},
	}
	conditions := Conditions(nil, o, now)
	if len(conditions) != len(want) {
		t.Errorf("%d conditions", len(conditions))
	}
	for _, c := range conditions {
		if c.Reason != want[c.Type][0] || c.Message != want[c.Type][1] {
			t.Errorf("%s: %s %q", c.Type, c.Reason, c.Message)
		}
	}
	later := Conditions(conditions, outcome{}, now.Add(time.Minute))
	for _, c := range later {
		moved := c.LastTransitionTime.Equal(&metav1.Time{Time: now.Add(time.Minute)})
		if c.Status != corev1.ConditionFalse || moved == (c.Type == corev1.NamespaceDeletionGVParsingFailure) {
			t.Errorf("%s: %s since %v", c.Type, c.Status, c.LastTransitionTime)
		}
	}
	if (&outcome{}).err() != nil || o.err() == nil {
		t.Error("an empty namespace is held up, or one that is not is let go")
	}
}

func TestOnlyADyingNamespaceMatters(t *testing.T) {
	t.Parallel()
	alive := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}}}
	dead := alive.DeepCopy()
	dead.DeletionTimestamp = &metav1.Time{}
	freed := dead.DeepCopy()
	freed.Spec.Finalizers = nil
	for name, test := range map[string]struct {
		old, now *corev1.Namespace
		want     int
	}{
		"alive": {nil, alive, 0}, "deleted": {alive, dead, 1}, "found dying": {nil, dead, 1}, "its status changed": {dead, dead.DeepCopy(), 0},
		"its finalizers changed": {dead, freed, 1}, "gone": {dead, nil, 0},
	} {
		if got := dying(test.old, test.now); len(got) != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
