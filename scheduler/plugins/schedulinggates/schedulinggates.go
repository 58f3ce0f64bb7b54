// Package schedulinggates keeps pods out of the queue while they have scheduling gates.
package schedulinggates

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
)

// Name of the plugin.
const Name = "SchedulingGates"

// Plugin is SchedulingGates.
type Plugin struct{}

// New returns the plugin.
func New() *Plugin { return &Plugin{} }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// PreEnqueue implements plugin.PreEnqueue.
func (*Plugin) PreEnqueue(pod *corev1.Pod) *plugin.Status {
	if len(pod.Spec.SchedulingGates) == 0 {
		return nil
	}
	names := make([]string, len(pod.Spec.SchedulingGates))
	for i := range names {
		names[i] = pod.Spec.SchedulingGates[i].Name
	}
	return plugin.Reject(plugin.Unresolvable, "waiting for scheduling gates: ["+strings.Join(names, " ")+"]")
}

// Events implements plugin.Events.
func (*Plugin) Events() []plugin.EventHint {
	return []plugin.EventHint{{Resource: plugin.UnscheduledPod, Action: plugin.UpdatePodGates}}
}
