// Package podtopologyspread spreads pods evenly over topology domains, by the pod's own constraints or by default ones for pods of a Service
// or a workload.
package podtopologyspread

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins/nodeaffinity"
	"github.com/septet-io/septet/scheduler/plugins/tainttoleration"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Name of the plugin.
const Name = "PodTopologySpread"

// SystemDefaults are the constraints for pods that have none, unless the configuration gives others.
var SystemDefaults = []corev1.TopologySpreadConstraint{
	{TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, MaxSkew: 3},
	{TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway, MaxSkew: 5},
}

// Plugin is PodTopologySpread.
type Plugin struct {
	defaults []corev1.TopologySpreadConstraint
	system   bool
}

// New returns the plugin; defaults are the constraints for pods without, system says that they are upstream's own.
func New(defaults []corev1.TopologySpreadConstraint, system bool) *Plugin {
	return &Plugin{defaults: defaults, system: system}
}

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// constraint is one rule compiled for a shape.
type constraint struct {
	snapshot   *snapshot.Snapshot
	topology   *snapshot.Topology
	counter    *snapshot.Counter
	maxSkew    int32
	minDomains int32
	self       int32 // 1 if the pod itself will count
	affinity   bool  // only nodes that the pod's affinity allows take part
	taints     bool  // only nodes that the pod tolerates take part
	host       bool  // the topology is the host name
}

// set is all constraints of one kind, and which nodes take part.
type set struct {
	snapshot    *snapshot.Snapshot
	list        []constraint
	required    *snapshot.NodeSelector
	tolerations []corev1.Toleration
	// everyKey says that a node without one of the topology keys takes no part at all.
	everyKey bool
}

// compile returns the shape's constraints of one kind, nil if there are none.
func (p *Plugin) compile(c *plugin.Compile, kind corev1.UnsatisfiableConstraintAction) *set {
	s := &set{snapshot: c.Snapshot, tolerations: c.Shape.Spec.Tolerations, everyKey: true}
	if own := c.Shape.Spec.TopologySpreadConstraints; len(own) > 0 {
		for i := range own {
			if own[i].WhenUnsatisfiable == kind {
				s.add(c, &own[i], selectorOf(&own[i], c.Shape.Labels))
			}
		}
	} else if !p.addDefaults(c, s, kind) {
		return nil
	}
	if len(s.list) == 0 {
		return nil
	}
	s.required = nodeaffinity.Required(c)
	return s
}

func (p *Plugin) addDefaults(c *plugin.Compile, s *set, kind corev1.UnsatisfiableConstraintAction) bool {
	any := false
	for i := range p.defaults {
		any = any || p.defaults[i].WhenUnsatisfiable == kind
	}
	if !any {
		return false
	}
	selector := c.Snapshot.DefaultSelector(c.Shape)
	was, version := selector.String(), c.Snapshot.OwnersVersion(c.Shape.Namespace)
	c.Guard(func() bool {
		if now := c.Snapshot.OwnersVersion(c.Shape.Namespace); now != version {
			version = now
			return c.Snapshot.DefaultSelector(c.Shape).String() == was
		}
		return true
	})
	if selector.Empty() {
		return false
	}
	s.everyKey = !p.system
	for i := range p.defaults {
		if p.defaults[i].WhenUnsatisfiable == kind {
			s.add(c, &p.defaults[i], selector)
		}
	}
	return true
}

func selectorOf(t *corev1.TopologySpreadConstraint, podLabels labels.Set) labels.Selector {
	selector := snapshot.SelectorOf(t.LabelSelector)
	for _, key := range t.MatchLabelKeys {
		if value, ok := podLabels[key]; ok {
			selector = snapshot.Require(selector, key, selection.In, value)
		}
	}
	return selector
}

func (s *set) add(c *plugin.Compile, t *corev1.TopologySpreadConstraint, selector labels.Selector) {
	match := snapshot.PodMatch{Namespaces: []string{c.Shape.Namespace}, Selector: selector}
	k := constraint{
		snapshot: c.Snapshot, topology: c.Snapshot.Topology(t.TopologyKey), counter: c.Snapshot.Counter(true, match),
		maxSkew: t.MaxSkew, minDomains: 1, affinity: true, host: t.TopologyKey == corev1.LabelHostname,
	}
	c.Hold(k.counter)
	version := k.topology.Version
	c.Guard(func() bool { return k.topology.Version == version })
	if t.MinDomains != nil {
		k.minDomains = *t.MinDomains
	}
	if t.NodeAffinityPolicy != nil {
		k.affinity = *t.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor
	}
	if t.NodeTaintsPolicy != nil {
		k.taints = *t.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor
	}
	if c.Snapshot.Matches(&match, c.Shape) {
		k.self = 1
	}
	s.list = append(s.list, k)
}

// hasKeys says whether the row has all topology keys.
func (s *set) hasKeys(row int32) bool {
	for i := range s.list {
		if s.list[i].topology.Domain(row) < 0 {
			return false
		}
	}
	return true
}

// takesPart says whether the pods on the row count for a constraint.
func (s *set) takesPart(k *constraint, row int32) bool {
	if !s.snapshot.Exists(row) {
		return false
	}
	if k.affinity && s.required != nil && !s.required.Match(row) {
		return false
	}
	return !k.taints || tainttoleration.Untolerated(s.snapshot.TaintSet(s.snapshot.Taints[row]), s.tolerations) == nil
}

// Events implements plugin.Events.
func (p *Plugin) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.AssignedPod, Action: plugin.Add | plugin.Delete | plugin.UpdatePodLabel, Hint: p.concerns},
		{Resource: plugin.Node, Action: plugin.Add | plugin.Delete | plugin.UpdateNodeLabel | plugin.UpdateNodeTaint},
		{Resource: plugin.UnscheduledPod, Action: plugin.UpdatePodLabel | plugin.UpdatePodTolerations},
	}
}

// concerns says whether the pod of an event may count for a constraint of the waiting one.
func (p *Plugin) concerns(waiting *corev1.Pod, e *plugin.Event) bool {
	for _, object := range []any{e.New, e.Old} {
		pod, ok := object.(*corev1.Pod)
		if !ok || pod == nil || pod.Namespace != waiting.Namespace {
			continue
		}
		if len(waiting.Spec.TopologySpreadConstraints) == 0 {
			return true
		}
		for i := range waiting.Spec.TopologySpreadConstraints {
			if selectorOf(&waiting.Spec.TopologySpreadConstraints[i], waiting.Labels).Matches(labels.Set(pod.Labels)) {
				return true
			}
		}
	}
	return false
}
