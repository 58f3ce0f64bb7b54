package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mergeMatchLabelKeys turns keys of the pod's own labels into requirements of its selectors, once, when the pod is
// created: schedulers then need only the selectors (KEP-3633, KEP-3243).
func mergeMatchLabelKeys(pod *corev1.Pod) {
	for i := range pod.Spec.TopologySpreadConstraints {
		c := &pod.Spec.TopologySpreadConstraints[i]
		require(c.LabelSelector, c.MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
	}
	affinity := pod.Spec.Affinity
	if affinity == nil {
		return
	}
	if near := affinity.PodAffinity; near != nil {
		mergeTerms(near.RequiredDuringSchedulingIgnoredDuringExecution, near.PreferredDuringSchedulingIgnoredDuringExecution, pod.Labels)
	}
	if far := affinity.PodAntiAffinity; far != nil {
		mergeTerms(far.RequiredDuringSchedulingIgnoredDuringExecution, far.PreferredDuringSchedulingIgnoredDuringExecution, pod.Labels)
	}
}

func mergeTerms(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm, labels map[string]string) {
	merge := func(term *corev1.PodAffinityTerm) {
		require(term.LabelSelector, term.MatchLabelKeys, metav1.LabelSelectorOpIn, labels)
		require(term.LabelSelector, term.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, labels)
	}
	for i := range required {
		merge(&required[i])
	}
	for i := range preferred {
		merge(&preferred[i].PodAffinityTerm)
	}
}

// require adds a requirement for every key that is a label of the pod and not yet required.
func require(selector *metav1.LabelSelector, keys []string, op metav1.LabelSelectorOperator, labels map[string]string) {
	if selector == nil {
		return
	}
	for _, key := range keys {
		value, ok := labels[key]
		if !ok || requires(selector, key, op, value) {
			continue
		}
		selector.MatchExpressions = append(selector.MatchExpressions,
			metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: []string{value}})
	}
}

func requires(selector *metav1.LabelSelector, key string, op metav1.LabelSelectorOperator, value string) bool {
	return slices.ContainsFunc(selector.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool {
		return r.Key == key && r.Operator == op && slices.Equal(r.Values, []string{value})
	})
}
