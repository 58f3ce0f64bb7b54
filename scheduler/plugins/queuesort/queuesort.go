// Package queuesort orders the queue by priority, then by age.
package queuesort

import "github.com/septet-io/septet/scheduler/plugin"

// Name of the plugin.
const Name = "PrioritySort"

// Plugin is PrioritySort.
type Plugin struct{}

// New returns the plugin.
func New() *Plugin { return &Plugin{} }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// Less implements plugin.QueueSort.
func (*Plugin) Less(a, b plugin.Queued) bool {
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	if !a.Since.Equal(b.Since) {
		return a.Since.Before(b.Since)
	}
	return a.Order < b.Order
}
