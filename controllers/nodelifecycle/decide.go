package nodelifecycle

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// watched are the conditions that become unknown when a Node is silent.
var watched = []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure}

// Unknown returns the Node as one that nothing is heard of, nil if it is known to be so.
func Unknown(node *corev1.Node, now time.Time) *corev1.Node {
	changed := node.DeepCopy()
	any := false
	for _, kind := range watched {
		i := slices.IndexFunc(changed.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == kind })
		if i < 0 {
			changed.Status.Conditions = append(changed.Status.Conditions, corev1.NodeCondition{
				Type: kind, Status: corev1.ConditionUnknown, Reason: "NodeStatusNeverUpdated", Message: "Kubelet never posted node status.",
				LastHeartbeatTime: node.CreationTimestamp, LastTransitionTime: metav1.NewTime(now),
			})
			any = true
			continue
		}
		if c := &changed.Status.Conditions[i]; c.Status != corev1.ConditionUnknown {
			c.Status, c.Reason, c.Message = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status."
			c.LastTransitionTime = metav1.NewTime(now)
			any = true
		}
	}
	if !any {
		return nil
	}
	return changed
}

// rule turns a condition into a taint.
type rule struct {
	condition corev1.NodeConditionType
	status    corev1.ConditionStatus
	key       string
}

var rules = []rule{
	{corev1.NodeReady, corev1.ConditionFalse, corev1.TaintNodeNotReady},
	{corev1.NodeReady, corev1.ConditionUnknown, corev1.TaintNodeUnreachable},
	{corev1.NodeMemoryPressure, corev1.ConditionTrue, corev1.TaintNodeMemoryPressure},
	{corev1.NodeDiskPressure, corev1.ConditionTrue, corev1.TaintNodeDiskPressure},
	{corev1.NodeNetworkUnavailable, corev1.ConditionTrue, corev1.TaintNodeNetworkUnavailable},
	{corev1.NodePIDPressure, corev1.ConditionTrue, corev1.TaintNodePIDPressure},
}

// Taints returns the taints that a Node should have: its own, and those that its conditions ask for. Taints that are right
// already stay as they are, with their times.
func Taints(node *corev1.Node, now time.Time) []corev1.Taint {
	wanted := map[corev1.Taint]bool{}
	managed := map[string]bool{corev1.TaintNodeUnschedulable: true}
	for _, r := range rules {
		managed[r.key] = true
		if condition(node, r.condition).Status == r.status {
			wanted[corev1.Taint{Key: r.key, Effect: corev1.TaintEffectNoSchedule}] = true
			if r.condition == corev1.NodeReady {
				wanted[corev1.Taint{Key: r.key, Effect: corev1.TaintEffectNoExecute}] = true
			}
		}
	}
	if condition(node, corev1.NodeReady).Type == "" {
		wanted[corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}] = true
	}
	if node.Spec.Unschedulable {
		wanted[corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}] = true
	}
	var taints []corev1.Taint
	for _, taint := range node.Spec.Taints {
		plain := corev1.Taint{Key: taint.Key, Effect: taint.Effect}
		if !managed[taint.Key] || wanted[plain] {
			taints = append(taints, taint)
			delete(wanted, plain)
		}
	}
	var added []corev1.Taint
	for taint := range wanted {
		if taint.Effect == corev1.TaintEffectNoExecute || taint.Key == corev1.TaintNodeUnschedulable {
			since := metav1.NewTime(now.Truncate(time.Second))
			taint.TimeAdded = &since
		}
		added = append(added, taint)
	}
	slices.SortFunc(added, func(a, b corev1.Taint) int {
		if a.Key+string(a.Effect) < b.Key+string(b.Effect) {
			return -1
		}
		return 1
	})
	return append(taints, added...)
}
