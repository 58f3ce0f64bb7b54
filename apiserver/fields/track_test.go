package fields

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", Labels: map[string]string{"app": "web"}, Finalizers: []string{"a/b"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "web", Image: "web:1",
			Ports: []corev1.ContainerPort{{ContainerPort: 80, Protocol: corev1.ProtocolTCP}},
			Env:   []corev1.EnvVar{{Name: "A", Value: "1"}},
		}}},
	}
}

// TestWhoOwnsWhat follows a Pod through two writers, who add, change and remove.
func TestWhoOwnsWhat(t *testing.T) {
	t.Parallel()
	tracker := New(&corev1.Pod{}, "v1", "", []string{"status"}, nil)
	if tracker == nil {
		t.Fatal("Pods cannot be tracked")
	}
	first := pod()
	if !tracker.Update(&corev1.Pod{}, first, "one", time.Unix(1, 0)) {
		t.Fatal("a create is out of the ordinary")
	}
	owns(t, first, map[string]string{"one": `{"f:metadata":{"f:finalizers":{".":{},"v:\"a/b\"":{}},"f:labels":{".":{},"f:app":{}}},` +
		`"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},` +
		`"f:image":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:resources":{}}}}}`})

	first.UID = "u"
	second := first.DeepCopy()
	second.Spec.Containers[0].Image = "web:2"
	second.Spec.Containers[0].Env = nil
	second.Labels = map[string]string{"app": "web", "tier": "front"}
	second.Finalizers = nil
	if !tracker.Update(first, second, "two", time.Unix(2, 0)) {
		t.Fatal("an update is out of the ordinary")
	}
	owns(t, second, map[string]string{
		"one": `{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:name":{},` +
			`"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:resources":{}}}}}`,
		"two": `{"f:metadata":{"f:labels":{"f:tier":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{"f:image":{}}}}}`,
	})

	third := second.DeepCopy()
	third.Status.Message = "not theirs to set here"
	if !tracker.Update(second, third, "two", time.Unix(3, 0)) || !third.ManagedFields[1].Time.Equal(second.ManagedFields[1].Time) {
		t.Error("a write that changes nothing of its own was noted")
	}
}

func owns(t *testing.T, pod *corev1.Pod, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, entry := range pod.ManagedFields {
		got[entry.Manager] = entry.FieldsV1.GetRawString()
	}
	if len(got) != len(want) {
		t.Errorf("%d managers, want %d", len(got), len(want))
	}
	for manager, set := range want {
		if got[manager] != set {
			t.Errorf("%s owns\n  %s\nwant\n  %s", manager, got[manager], set)
		}
	}
}

// TestWhatIsOutOfTheOrdinaryIsLeftToOthers for each thing that is not decided here.
func TestWhatIsOutOfTheOrdinaryIsLeftToOthers(t *testing.T) {
	t.Parallel()
	tracker := New(&corev1.Pod{}, "v1", "", nil, nil)
	twice := pod()
	twice.Spec.Containers = append(twice.Spec.Containers, twice.Spec.Containers[0])
	if tracker.Update(&corev1.Pod{}, twice, "m", time.Now()) {
		t.Error("a name twice in a list")
	}
	old := pod()
	old.UID = "u"
	old.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m", APIVersion: "v2", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1("{}")}}
	next := old.DeepCopy()
	if tracker.Update(old, next, "m", time.Now()) {
		t.Error("an entry of another version")
	}
	mine := pod()
	mine.UID = "u"
	forged := mine.DeepCopy()
	forged.ManagedFields = old.ManagedFields
	if tracker.Update(mine, forged, "m", time.Now()) {
		t.Error("entries that the sender made up")
	}
}

func BenchmarkCreate(b *testing.B) {
	tracker := New(&corev1.Pod{}, "v1", "", []string{"status"}, nil)
	b.ReportAllocs()
	for b.Loop() {
		tracker.Update(&corev1.Pod{}, pod(), "m", time.Now())
	}
}

func BenchmarkUpdate(b *testing.B) {
	tracker := New(&corev1.Pod{}, "v1", "", []string{"status"}, nil)
	old := pod()
	tracker.Update(&corev1.Pod{}, old, "m", time.Now())
	old.UID = "u"
	next := old.DeepCopy()
	next.Labels["b"] = "c"
	b.ReportAllocs()
	for b.Loop() {
		next.ManagedFields = old.ManagedFields
		tracker.Update(old, next, "n", time.Now())
	}
}
