package volume

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// checkVolumeNode refuses a PersistentVolume that cannot be reached from this node: the scheduler sees to that, but not for Pods that name their node themselves.
func (v *Volumes) checkVolumeNode(ctx context.Context, pv *corev1.PersistentVolume) error {
	if pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		return nil
	}
	node, err := v.config.Client.CoreV1().Nodes().Get(ctx, v.config.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, term := range pv.Spec.NodeAffinity.Required.NodeSelectorTerms {
		ok, err := matches(node, &term)
		if err != nil {
			return fmt.Errorf("node affinity of persistent volume %s: %w", pv.Name, err)
		}
		if ok {
			return nil
		}
	}
	return fmt.Errorf("error checking node affinity: no matching NodeSelectorTerms")
}

// matches evaluates one term; an empty one matches nothing.
func matches(node *corev1.Node, term *corev1.NodeSelectorTerm) (bool, error) {
	if len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0 {
		return false, nil
	}
	byLabel, err := requirements(term.MatchExpressions)
	if err != nil {
		return false, err
	}
	byField, err := requirements(term.MatchFields)
	if err != nil {
		return false, err
	}
	return byLabel.Matches(labels.Set(node.Labels)) && byField.Matches(labels.Set{"metadata.name": node.Name}), nil
}

var operators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn: selection.In, corev1.NodeSelectorOpNotIn: selection.NotIn,
	corev1.NodeSelectorOpExists: selection.Exists, corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
	corev1.NodeSelectorOpGt: selection.GreaterThan, corev1.NodeSelectorOpLt: selection.LessThan,
}

func requirements(list []corev1.NodeSelectorRequirement) (labels.Selector, error) {
	selector := labels.NewSelector()
	for _, want := range list {
		operator, ok := operators[want.Operator]
		if !ok {
			return nil, fmt.Errorf("%q is not a valid node selector operator", want.Operator)
		}
		if want.Key == "metadata.name" && operator == selection.In && len(want.Values) == 0 {
			return nil, fmt.Errorf("field selector of %s has no value", want.Key)
		}
		requirement, err := labels.NewRequirement(want.Key, operator, want.Values)
		if err != nil {
			return nil, err
		}
		selector = selector.Add(*requirement)
	}
	return selector, nil
}
