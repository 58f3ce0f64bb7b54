package daemonset

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/controllers/nodes"
	"github.com/septet-io/septet/controllers/own"
	"github.com/septet-io/septet/controllers/pods"
)

// generationLabel is on Pods of sets that still have the deprecated template generation, which was there before hashes.
const generationLabel = "pod-template-generation"

// tolerations let daemons run where other Pods must not: on nodes that are sick or closed.
var tolerations = []corev1.Toleration{
	{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
	{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
	{Key: corev1.TaintNodeDiskPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodePIDPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
}

// noNetwork is tolerated only by daemons on the host's own network: they may be what brings the network.
var noNetwork = corev1.Toleration{Key: corev1.TaintNodeNetworkUnavailable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}

// tolerationsOf returns all tolerations of a set's Pods.
func tolerationsOf(spec *corev1.PodSpec) []corev1.Toleration {
	all := slices.Clone(spec.Tolerations)
	added := tolerations
	if spec.HostNetwork {
		added = append(slices.Clone(tolerations), noNetwork)
	}
	for _, toleration := range added {
		if !slices.Contains(all, toleration) {
			all = append(all, toleration)
		}
	}
	return all
}

// build returns the Pod of a set for one node. The scheduler binds it, since it alone knows what fits; its affinity leaves no choice.
func build(set *appsv1.DaemonSet, hash, node string) *corev1.Pod {
	pod := pods.FromTemplate(&set.Spec.Template, set, own.Reference(set, Kind))
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey] = hash
	if generation, found := set.Annotations[appsv1.DeprecatedTemplateGeneration]; found {
		pod.Labels[generationLabel] = generation
	}
	pod.Spec.Tolerations = tolerationsOf(&pod.Spec)
	if pod.Spec.Affinity == nil {
		pod.Spec.Affinity = &corev1.Affinity{}
	}
	if pod.Spec.Affinity.NodeAffinity == nil {
		pod.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
		}},
	}
	return pod
}

// nodeOf returns the node that a Pod runs on or is meant for; "" if it does not say.
func nodeOf(pod *corev1.Pod) string {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName
	}
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil || pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == "metadata.name" && field.Operator == corev1.NodeSelectorOpIn && len(field.Values) == 1 {
				return field.Values[0]
			}
		}
	}
	return ""
}

// wants reports whether a set wants a Pod on a node, and whether one that is there may stay: taints that
// forbid new Pods let old ones be.
func wants(set *appsv1.DaemonSet, tolerated []corev1.Toleration, node *corev1.Node) (run, stay bool) {
	spec := &set.Spec.Template.Spec
	if (spec.NodeName != "" && spec.NodeName != node.Name) || !nodes.Selects(spec, node) {
		return false, false
	}
	if nodes.Untolerated(node, tolerated, corev1.TaintEffectNoExecute) {
		return false, false
	}
	return !nodes.Untolerated(node, tolerated, corev1.TaintEffectNoSchedule), true
}

// updated reports whether a Pod was made from the set's current template.
func updated(set *appsv1.DaemonSet, pod *corev1.Pod, hash string) bool {
	if hash != "" && pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey] == hash {
		return true
	}
	generation, found := set.Annotations[appsv1.DeprecatedTemplateGeneration]
	return found && pod.Labels[generationLabel] == generation
}
