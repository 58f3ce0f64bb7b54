package nodelifecycle

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// node has conditions written as "Ready=True".
func node(conditions ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))}}
	for _, c := range conditions {
		kind, status, _ := strings.Cut(c, "=")
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
			Type: corev1.NodeConditionType(kind), Status: corev1.ConditionStatus(status), LastHeartbeatTime: metav1.NewTime(now.Add(-time.Minute)),
		})
	}
	return n
}

func TestTaints(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		node *corev1.Node
		// have and want are taints as "key:Effect".
		have, want    []string
		unschedulable bool
	}{
		{name: "healthy", node: node("Ready=True", "MemoryPressure=False")},
		{name: "never heard of", node: node(), want: []string{"node.kubernetes.io/not-ready:NoSchedule"}},
		{name: "not ready", node: node("Ready=False"), want: []string{"node.kubernetes.io/not-ready:NoExecute", "node.kubernetes.io/not-ready:NoSchedule"}},
		{name: "silent", node: node("Ready=Unknown"), want: []string{"node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/unreachable:NoSchedule"}},
		{name: "ready again", node: node("Ready=True"), have: []string{"node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/unreachable:NoSchedule"}},
		{name: "from silent to unready", node: node("Ready=False"), have: []string{"node.kubernetes.io/unreachable:NoExecute"},
			want: []string{"node.kubernetes.io/not-ready:NoExecute", "node.kubernetes.io/not-ready:NoSchedule"}},
		{name: "pressed", node: node("Ready=True", "MemoryPressure=True", "DiskPressure=True", "PIDPressure=True", "NetworkUnavailable=True"), want: []string{
			"node.kubernetes.io/disk-pressure:NoSchedule", "node.kubernetes.io/memory-pressure:NoSchedule",
			"node.kubernetes.io/network-unavailable:NoSchedule", "node.kubernetes.io/pid-pressure:NoSchedule",
		}},
		{name: "pressure that is not known", node: node("Ready=True", "MemoryPressure=Unknown")},
		{name: "cordoned", node: node("Ready=True"), unschedulable: true, want: []string{"node.kubernetes.io/unschedulable:NoSchedule"}},
		{name: "uncordoned", node: node("Ready=True"), have: []string{"node.kubernetes.io/unschedulable:NoSchedule"}},
		{name: "others' stay, first", node: node("Ready=False"), have: []string{"mine:NoExecute"},
			want: []string{"mine:NoExecute", "node.kubernetes.io/not-ready:NoExecute", "node.kubernetes.io/not-ready:NoSchedule"}},
	} {
		for _, text := range test.have {
			key, effect, _ := strings.Cut(text, ":")
			test.node.Spec.Taints = append(test.node.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffect(effect)})
		}
		test.node.Spec.Unschedulable = test.unschedulable
		taints := Taints(test.node, now)
		var got []string
		for i := range taints {
			got = append(got, taints[i].ToString())
			managed := strings.HasPrefix(taints[i].Key, "node.kubernetes.io/")
			if managed && taints[i].Effect == corev1.TaintEffectNoExecute && !taints[i].TimeAdded.Equal(&metav1.Time{Time: now}) {
				t.Errorf("%s: %s since %v", test.name, taints[i].Key, taints[i].TimeAdded)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// A taint that is right keeps its time: Pods' patience is counted from there.
func TestTaintKeepsItsTime(t *testing.T) {
	t.Parallel()
	n := node("Ready=False")
	n.Spec.Taints = Taints(n, now)
	for _, taint := range Taints(n, now.Add(time.Hour)) {
		if taint.TimeAdded != nil && !taint.TimeAdded.Time.Equal(now) {
			t.Errorf("%s is now since %s", taint.ToString(), taint.TimeAdded)
		}
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	silent := node("Ready=True", "MemoryPressure=False", "Custom=True")
	changed := Unknown(silent, now)
	if changed == nil || silent.Status.Conditions[0].Status != corev1.ConditionTrue {
		t.Fatal("nothing changed, or the node that was given")
	}
	want := map[corev1.NodeConditionType][3]string{
		corev1.NodeReady:          {"Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."},
		corev1.NodeMemoryPressure: {"Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."},
		corev1.NodeDiskPressure:   {"Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status."},
		corev1.NodePIDPressure:    {"Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status."},
		"Custom":                  {"True", "", ""},
	}
	for _, c := range changed.Status.Conditions {
		if got := [3]string{string(c.Status), c.Reason, c.Message}; got != want[c.Type] {
			t.Errorf("%s: %v, want %v", c.Type, got, want[c.Type])
		}
		if c.Status == corev1.ConditionUnknown && !c.LastTransitionTime.Time.Equal(now) {
			t.Errorf("%s changed at %s", c.Type, c.LastTransitionTime)
		}
		delete(want, c.Type)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if again := Unknown(changed, now.Add(time.Minute)); again != nil {
		t.Errorf("changed once more: %v", again.Status.Conditions)
	}
}
