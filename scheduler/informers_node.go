package scheduler

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/scheduler/plugin"
)

// nodeAction names what changed in a node, as far as plugins wait for it.
func nodeAction(old, obj *corev1.Node) (action plugin.Action) {
	if old.Spec.Unschedulable != obj.Spec.Unschedulable || !equality.Semantic.DeepEqual(old.Spec.Taints, obj.Spec.Taints) {
		action |= plugin.UpdateNodeTaint
	}
	if !labels.Equals(old.Labels, obj.Labels) {
		action |= plugin.UpdateNodeLabel
	}
	if !equality.Semantic.DeepEqual(old.Status.Allocatable, obj.Status.Allocatable) {
		action |= plugin.UpdateNodeAllocatable
	}
	if conditionsChanged(old.Status.Conditions, obj.Status.Conditions) {
		action |= plugin.UpdateNodeCondition
	}
	if !slices.Equal(old.Status.DeclaredFeatures, obj.Status.DeclaredFeatures) {
		action |= plugin.UpdateNodeFeatures
	}
	return action
}

func conditionsChanged(a, b []corev1.NodeCondition) bool {
	if len(a) != len(b) {
		return true
	}
	for i := range a {
		if a[i].Type != b[i].Type || a[i].Status != b[i].Status {
			return true
		}
	}
	return false
}

// nodeLabels are upstream's event names by action, the first that applies counts.
var nodeLabels = []struct {
	action plugin.Action
	label  string
}{
	{plugin.UpdateNodeAllocatable, "NodeAllocatableChange"}, {plugin.UpdateNodeLabel, "NodeLabelChange"},
	{plugin.UpdateNodeTaint, "NodeTaintChange"}, {plugin.UpdateNodeCondition, "NodeConditionChange"}, {plugin.UpdateNodeFeatures, "NodeDeclaredFeatureChange"},
}

func (s *scheduler) applyNode(old, obj *corev1.Node) {
	if obj == nil {
		s.snapshot.RemoveNode(old.Name)
		s.happened(plugin.Node, plugin.Delete, "NodeDelete", old, nil)
		return
	}
	s.snapshot.SetNode(obj)
	if old == nil {
		s.happened(plugin.Node, plugin.Add, "NodeAdd", nil, obj)
		return
	}
	action := nodeAction(old, obj)
	for _, n := range nodeLabels {
		if action&n.action != 0 {
			s.happened(plugin.Node, action, n.label, old, obj)
			return
		}
	}
}
