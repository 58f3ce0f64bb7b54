// Package nodename lets a pod that names its node run there only.
package nodename

import (
	"github.com/septet-io/septet/scheduler/plugin"
)

// Name of the plugin.
const Name = "NodeName"

// Plugin is NodeName.
type Plugin struct{}

// New returns the plugin.
func New() *Plugin { return &Plugin{} }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// PreFilter implements plugin.PreFilter: most pods leave the choice to the scheduler.
func (*Plugin) PreFilter(c *plugin.Cycle) ([]string, *plugin.Status) {
	if c.Pod.Object.Spec.NodeName == "" {
		return nil, plugin.SkipStatus
	}
	return nil, nil
}

// Filter implements plugin.Filter.
func (*Plugin) Filter(c *plugin.Cycle, row int32) *plugin.Status {
	if c.Snapshot.Node[row].Name != c.Pod.Object.Spec.NodeName {
		return plugin.Reject(plugin.Unresolvable, "node(s) didn't match the requested node name")
	}
	return nil
}

// Events implements plugin.Events.
func (*Plugin) Events() []plugin.EventHint {
	return []plugin.EventHint{{Resource: plugin.Node, Action: plugin.Add}}
}
