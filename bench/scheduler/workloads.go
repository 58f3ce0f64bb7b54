package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// workload is one situation: nodes, pods that are there before, and the pods that are measured.
type workload struct {
	name string
	// nodes scales the number of nodes; 0 means 1.
	nodes float64
	node  func(i int, n *corev1.Node)
	// before is the number of pods that are placed before the measurement, as a part of the nodes, and what they look like.
	before     float64
	beforeEach func(i int, p *corev1.Pod)
	// stuck pods fit nowhere and are in the way.
	stuck     int
	stuckEach func(i int, p *corev1.Pod)
	// most bounds the measured pods, as a part of the nodes; 0 is no bound.
	most float64
	pod  func(i int, p *corev1.Pod)
	// churn deletes and creates nodes and pods meanwhile.
	churn bool
	// volumes makes a bound volume for each measured pod.
	volumes bool
	// perNode makes one measured pod for each node, as a daemon set does.
	perNode bool
}

func labelled(p *corev1.Pod, color string) { p.Labels = map[string]string{"color": color} }

func podTerm(key, color string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"color": color}}}
}

func zones(i int, n *corev1.Node) {
	n.Labels[corev1.LabelTopologyZone] = fmt.Sprintf("moon-%d", i%3+1)
}

func oneZone(_ int, n *corev1.Node) { n.Labels[corev1.LabelTopologyZone] = "zone1" }

// important is the PriorityClass of pods that go before others.
const important = "important"

// workloads are named after upstream's.
var workloads = []workload{
	{name: "basic", before: 0.2},
	{name: "nodeAffinity", before: 1, node: oneZone, pod: func(_ int, p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{"zone1", "zone2"}}}}}}}}
	}},
	{name: "podAffinity", before: 1, node: oneZone, beforeEach: func(_ int, p *corev1.Pod) { labelled(p, "blue") }, pod: func(_ int, p *corev1.Pod) {
		labelled(p, "blue")
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{podTerm(corev1.LabelTopologyZone, "blue")}}}
	}},
	{name: "requiredAntiAffinity", before: 0.2, most: 0.8, beforeEach: antiAffine, pod: antiAffine},
	{name: "preferredAffinity", before: 1, beforeEach: preferring, pod: preferring},
	{name: "preferredAntiAffinity", before: 1, beforeEach: avoiding, pod: avoiding},
	{name: "topologySpread", before: 1, node: zones, pod: func(_ int, p *corev1.Pod) { spreading(p, corev1.DoNotSchedule) }},
	{name: "preferredTopologySpread", before: 1, node: zones, pod: func(_ int, p *corev1.Pod) { spreading(p, corev1.ScheduleAnyway) }},
	{name: "taints", before: 0.2, node: func(i int, n *corev1.Node) {
		if i%2 == 0 {
			n.Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: "bench", Effect: corev1.TaintEffectNoSchedule}}
		}
	}, pod: func(_ int, p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}
	}},
	{name: "gated", stuck: 10000, stuckEach: func(_ int, p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "bench"}} }},
	{name: "mixedChurn", churn: true},
	{name: "preemption", before: 4, most: 1, beforeEach: func(_ int, p *corev1.Pod) { ask(p, "900m", "500Mi") },
		pod: func(_ int, p *corev1.Pod) { ask(p, "3000m", "500Mi"); p.Spec.PriorityClassName = important }},
	{name: "unschedulable", stuck: 200, stuckEach: func(_ int, p *corev1.Pod) { ask(p, "9", "500Mi"); p.Spec.PriorityClassName = important }},
	{name: "volumes", before: 0.2, volumes: true, pod: mounting},
	{name: "daemonSet", nodes: 3, perNode: true},
}

func ask(p *corev1.Pod, cpu, memory string) {
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

func antiAffine(_ int, p *corev1.Pod) {
	labelled(p, "green")
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{podTerm(corev1.LabelHostname, "green")}}}
}

func preferring(_ int, p *corev1.Pod) {
	labelled(p, "red")
	p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: podTerm(corev1.LabelHostname, "red")}}}}
}

func avoiding(_ int, p *corev1.Pod) {
	labelled(p, "yellow")
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: podTerm(corev1.LabelHostname, "yellow")}}}}
}

func spreading(p *corev1.Pod, when corev1.UnsatisfiableConstraintAction) {
	labelled(p, "blue")
	p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 5, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: when,
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"color": "blue"}}}}
}

// newNode is upstream's node: 4 cores, 32 GiB, 110 pods.
func newNode(i int, w *workload) *corev1.Node {
	name := fmt.Sprintf("node-%05d", i)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("32Gi"), corev1.ResourcePods: resource.MustParse("110")}
	n.Status.Capacity = n.Status.Allocatable
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	if w.node != nil {
		w.node(i, n)
	}
	return n
}

// newPod is upstream's pod: 100m, 500 Mi.
func newPod(prefix string, i int, change func(int, *corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("%s-%06d", prefix, i)}}
	p.Spec.Containers = []corev1.Container{{Name: "pause", Image: "pause:3.10"}}
	p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0)
	ask(p, "100m", "500Mi")
	if change != nil {
		change(i, p)
	}
	return p
}

// daemonPod is what the daemon set controller makes for one node.
func daemonPod(i int) *corev1.Pod {
	return newPod("measured", i, func(_ int, p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{fmt.Sprintf("node-%05d", i)}}}}}}}}
	})
}
