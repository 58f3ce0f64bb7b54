// Package nodeunschedulable keeps pods off cordoned nodes, unless they tolerate it.
package nodeunschedulable

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Name of the plugin.
const Name = "NodeUnschedulable"

// Plugin is NodeUnschedulable.
type Plugin struct{}

// New returns the plugin.
func New() *Plugin { return &Plugin{} }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

var cordon = corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}

// CompileFilter implements plugin.FilterColumns.
func (*Plugin) CompileFilter(c *plugin.Compile) plugin.ColumnFilter {
	if snapshot.Tolerates(c.Shape.Spec.Tolerations, &cordon) {
		return nil
	}
	return filter{c.Snapshot}
}

type filter struct{ snapshot *snapshot.Snapshot }

// Check implements plugin.RowFilter.
func (f filter) Check(row int32) plugin.Verdict {
	if f.snapshot.Flags[row]&snapshot.Unschedulable != 0 {
		return 1
	}
	return plugin.Fits
}

// Explain implements plugin.ColumnFilter.
func (filter) Explain(plugin.Verdict) (plugin.Code, []string) {
	return plugin.Unresolvable, []string{"node(s) were unschedulable"}
}

// Advise implements the advice of an explanation.
func (f filter) Advise(row int32, _ plugin.Verdict) []string {
	return []string{"uncordon " + f.snapshot.NameOf(row)}
}

// Events implements plugin.Events.
func (*Plugin) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.Node, Action: plugin.Add | plugin.UpdateNodeTaint, Hint: func(_ *corev1.Pod, e *plugin.Event) bool {
			node, ok := e.New.(*corev1.Node)
			return !ok || !node.Spec.Unschedulable
		}},
		{Resource: plugin.UnscheduledPod, Action: plugin.UpdatePodTolerations},
	}
}
