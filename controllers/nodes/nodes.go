// Package nodes tells whether a Pod may run on a node, as far as selectors, affinity and taints decide that.
package nodes

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/klog/v2"
)

// Selects reports whether a Pod's nodeSelector and required node affinity allow a node.
func Selects(pod *corev1.PodSpec, node *corev1.Node) bool {
	for key, value := range pod.NodeSelector {
		if got, found := node.Labels[key]; !found || got != value {
			return false
		}
	}
	if pod.Affinity == nil || pod.Affinity.NodeAffinity == nil || pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return true
	}
	for _, term := range pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if matches(&term, node) {
			return true
		}
	}
	return false
}

// matches reports whether a node fulfils all requirements of a term. An empty term matches nothing.
func matches(term *corev1.NodeSelectorTerm, node *corev1.Node) bool {
	if len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0 {
		return false
	}
	for i := range term.MatchExpressions {
		if !fulfils(&term.MatchExpressions[i], labels.Set(node.Labels)) {
			return false
		}
	}
	for i := range term.MatchFields {
		if !fulfils(&term.MatchFields[i], labels.Set{"metadata.name": node.Name}) {
			return false
		}
	}
	return true
}

// operators are the names of label operators by those of node selectors.
var operators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn: selection.In, corev1.NodeSelectorOpNotIn: selection.NotIn,
	corev1.NodeSelectorOpExists: selection.Exists, corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
	corev1.NodeSelectorOpGt: selection.GreaterThan, corev1.NodeSelectorOpLt: selection.LessThan,
}

func fulfils(requirement *corev1.NodeSelectorRequirement, of labels.Set) bool {
	// Made without validation of values: names of nodes may be longer than values of labels.
	if operator := requirement.Operator; operator == corev1.NodeSelectorOpIn || operator == corev1.NodeSelectorOpNotIn {
		value, found := of[requirement.Key]
		in := false
		for _, wanted := range requirement.Values {
			in = in || (found && wanted == value)
		}
		return in == (operator == corev1.NodeSelectorOpIn)
	}
	r, err := labels.NewRequirement(requirement.Key, operators[requirement.Operator], requirement.Values)
	return err == nil && r.Matches(of)
}

// Untolerated reports whether a node has a taint with one of the given effects that none of the tolerations covers.
func Untolerated(node *corev1.Node, tolerations []corev1.Toleration, effects ...corev1.TaintEffect) bool {
	for i := range node.Spec.Taints {
		taint := &node.Spec.Taints[i]
		for _, effect := range effects {
			if taint.Effect == effect && !tolerated(taint, tolerations) {
				return true
			}
		}
	}
	return false
}

func tolerated(taint *corev1.Taint, tolerations []corev1.Toleration) bool {
	for i := range tolerations {
		if tolerations[i].ToleratesTaint(klog.Background(), taint, true) {
			return true
		}
	}
	return false
}
