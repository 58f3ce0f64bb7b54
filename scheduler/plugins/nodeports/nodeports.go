// Package nodeports keeps pods apart that want the same port of the host.
package nodeports

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Name of the plugin.
const Name = "NodePorts"

// Plugin is NodePorts.
type Plugin struct{}

// New returns the plugin.
func New() *Plugin { return &Plugin{} }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// CompileFilter implements plugin.FilterColumns.
func (*Plugin) CompileFilter(c *plugin.Compile) plugin.ColumnFilter {
	if len(c.Shape.Ports) == 0 {
		return nil
	}
	return &filter{c.Snapshot, c.Shape.Ports}
}

type filter struct {
	snapshot *snapshot.Snapshot
	ports    []snapshot.HostPort
}

// Check implements plugin.RowFilter.
func (f *filter) Check(row int32) plugin.Verdict {
	if f.snapshot.PortsConflict(row, f.ports) {
		return 1
	}
	return plugin.Fits
}

// Explain implements plugin.ColumnFilter.
func (*filter) Explain(plugin.Verdict) (plugin.Code, []string) {
	return plugin.Unschedulable, []string{"node(s) didn't have free ports for the requested pod ports"}
}

// Advise names the pods that hold the ports.
func (f *filter) Advise(row int32, _ plugin.Verdict) (list []string) {
	for _, p := range f.snapshot.Pods[row] {
		for _, used := range p.Shape.Ports {
			for _, want := range f.ports {
				if want.Conflicts(used) {
					list = append(list, fmt.Sprintf("move pod %s/%s, which holds port %d, from %s", p.Object.Namespace, p.Object.Name, used.Port, f.snapshot.NameOf(row)))
				}
			}
		}
	}
	return list
}

// Events implements plugin.Events.
func (*Plugin) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.AssignedPod, Action: plugin.Delete, Hint: func(_ *corev1.Pod, e *plugin.Event) bool {
			gone, ok := e.Old.(*corev1.Pod)
			return !ok || hasHostPort(gone)
		}},
		{Resource: plugin.Node, Action: plugin.Add | plugin.UpdateNodeTaint},
	}
}

func hasHostPort(pod *corev1.Pod) bool {
	for _, list := range [2][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			for j := range list[i].Ports {
				if list[i].Ports[j].HostPort > 0 {
					return true
				}
			}
		}
	}
	return false
}
