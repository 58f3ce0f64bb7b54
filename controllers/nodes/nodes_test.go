package nodes

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSelects(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"zone": "a", "cores": "8"}}}
	affinity := func(terms ...corev1.NodeSelectorTerm) *corev1.PodSpec {
		return &corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
		}}}
	}
	by := func(key string, op corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}}
	}
	field := func(name string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{name}}}}
	}
	for _, test := range []struct {
		name string
		spec *corev1.PodSpec
		want bool
	}{
		{"no wishes", &corev1.PodSpec{}, true},
		{"nodeSelector", &corev1.PodSpec{NodeSelector: map[string]string{"zone": "a"}}, true},
		{"another zone", &corev1.PodSpec{NodeSelector: map[string]string{"zone": "b"}}, false},
		{"in", affinity(by("zone", corev1.NodeSelectorOpIn, "b", "a")), true},
		{"not in", affinity(by("zone", corev1.NodeSelectorOpNotIn, "a")), false},
		{"not in, without the label", affinity(by("rack", corev1.NodeSelectorOpNotIn, "a")), true},
		{"exists", affinity(by("zone", corev1.NodeSelectorOpExists)), true},
		{"does not exist", affinity(by("zone", corev1.NodeSelectorOpDoesNotExist)), false},
		{"more than", affinity(by("cores", corev1.NodeSelectorOpGt, "4")), true},
		{"less than", affinity(by("cores", corev1.NodeSelectorOpLt, "4")), false},
		{"this node", affinity(field("n1")), true},
		{"another", affinity(field("n2")), false},
		{"either", affinity(field("n2"), by("zone", corev1.NodeSelectorOpIn, "a")), true},
		{"an empty term", affinity(corev1.NodeSelectorTerm{}), false},
		{"no term", affinity(), false},
	} {
		if got := Selects(test.spec, node); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestUntolerated(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}, {Key: "b", Value: "x", Effect: corev1.TaintEffectNoExecute}}}}
	for _, test := range []struct {
		name        string
		tolerations []corev1.Toleration
		want        bool
	}{
		{"nothing is tolerated", nil, true},
		{"one is", []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists}}, true},
		{"both are", []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists}, {Key: "b", Value: "x"}}, false},
		{"all is", []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, false},
	} {
		if got := Untolerated(node, test.tolerations, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	if Untolerated(node, nil, corev1.TaintEffectPreferNoSchedule) {
		t.Error("an effect that no taint has")
	}
}
