// Package nodedeclaredfeatures keeps pods that need a feature of the kubelet off nodes that do not declare it (KEP-5328).
package nodedeclaredfeatures

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
)

// Name of the plugin.
const Name = "NodeDeclaredFeatures"

// needs are the features that a pod's spec can need, by the names that kubelets declare them under.
var needs = []struct {
	feature string
	needed  func(spec *corev1.PodSpec) bool
}{
	{"RestartAllContainersOnContainerExits", restartsAll},
	{"UserNamespacesHostNetworkSupport", func(s *corev1.PodSpec) bool { return s.HostNetwork && s.HostUsers != nil && !*s.HostUsers }},
}

func restartsAll(spec *corev1.PodSpec) bool {
	for _, list := range [2][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range list {
			for j := range list[i].RestartPolicyRules {
				if list[i].RestartPolicyRules[j].Action == corev1.ContainerRestartRuleActionRestartAllContainers {
					return true
				}
			}
		}
	}
	return false
}

// neededBy lists the features that a pod needs; most need none.
func neededBy(spec *corev1.PodSpec) (list []string) {
	for i := range needs {
		if needs[i].needed(spec) {
			list = append(list, needs[i].feature)
		}
	}
	return list
}

// Plugin is NodeDeclaredFeatures.
type Plugin struct{}

// New returns the plugin.
func New() *Plugin { return &Plugin{} }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// PreFilter implements plugin.PreFilter.
func (*Plugin) PreFilter(c *plugin.Cycle) ([]string, *plugin.Status) {
	list := neededBy(&c.Pod.Object.Spec)
	if len(list) == 0 {
		return nil, plugin.SkipStatus
	}
	c.Set(Name, list)
	return nil, nil
}

// Filter implements plugin.Filter.
func (*Plugin) Filter(c *plugin.Cycle, row int32) *plugin.Status {
	declared := c.Snapshot.Node[row].Object.Status.DeclaredFeatures
	for _, feature := range c.Get(Name).([]string) {
		if !slices.Contains(declared, feature) {
			return plugin.Reject(plugin.Unresolvable, "node(s) didn't match Pod's required features")
		}
	}
	return nil
}

// Events implements plugin.Events.
func (*Plugin) Events() []plugin.EventHint {
	return []plugin.EventHint{{Resource: plugin.Node, Action: plugin.Add | plugin.UpdateNodeFeatures, Hint: func(pod *corev1.Pod, e *plugin.Event) bool {
		node, ok := e.New.(*corev1.Node)
		return !ok || !slices.ContainsFunc(neededBy(&pod.Spec), func(feature string) bool { return !slices.Contains(node.Status.DeclaredFeatures, feature) })
	}}}
}
