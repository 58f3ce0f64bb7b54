// Package nodeaffinity holds a pod's nodeSelector and node affinity, and an affinity that the configuration adds for all pods.
package nodeaffinity

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Name of the plugin.
const Name = "NodeAffinity"

const (
	reasonPod      = "node(s) didn't match Pod's node affinity/selector"
	reasonEnforced = "node(s) didn't match scheduler-enforced node affinity"
)

// Plugin is NodeAffinity.
type Plugin struct{ added *corev1.NodeAffinity }

// New returns the plugin; added may be nil.
func New(added *corev1.NodeAffinity) *Plugin { return &Plugin{added} }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// PreFilter implements plugin.PreFilter: daemon pods name their node by a field, and only that node is looked at.
func (*Plugin) PreFilter(c *plugin.Cycle) ([]string, *plugin.Status) {
	if a := c.Pod.Object.Spec.Affinity; snapshot.OneNodeByName(a) {
		return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values, nil
	}
	return nil, plugin.SkipStatus
}

// CompileFilter implements plugin.FilterColumns.
func (p *Plugin) CompileFilter(c *plugin.Compile) plugin.ColumnFilter {
	f := &filter{snapshot: c.Snapshot, plain: c.Shape.Spec.NodeSelector}
	if p.added != nil && p.added.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		f.enforced = c.Snapshot.Selector(nil, p.added.RequiredDuringSchedulingIgnoredDuringExecution)
		c.Hold(f.enforced)
	}
	if f.pod = Required(c); f.pod == nil && f.enforced == nil {
		return nil
	}
	return f
}

// Required interns what the shape requires of nodes; nil if any will do. The choice of one node by name is left out: it is not part of the shape.
func Required(c *plugin.Compile) *snapshot.NodeSelector {
	spec := c.Shape.Spec
	var required *corev1.NodeSelector
	if a := spec.Affinity; a != nil && a.NodeAffinity != nil && !snapshot.OneNodeByName(a) {
		required = a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if required == nil && len(spec.NodeSelector) == 0 {
		return nil
	}
	selector := c.Snapshot.Selector(spec.NodeSelector, required)
	c.Hold(selector)
	return selector
}

type filter struct {
	enforced, pod *snapshot.NodeSelector
	snapshot      *snapshot.Snapshot
	plain         map[string]string
}

// Advise names the labels of the pod's nodeSelector that the node lacks.
func (f *filter) Advise(row int32, v plugin.Verdict) (list []string) {
	if v != 2 {
		return nil
	}
	node := f.snapshot.Node[row]
	for k, want := range f.plain {
		if have, ok := node.Labels[k]; !ok || have != want {
			list = append(list, "label "+node.Name+" with "+k+"="+want)
		}
	}
	slices.Sort(list)
	return list
}

// Check implements plugin.RowFilter.
func (f *filter) Check(row int32) plugin.Verdict {
	if f.enforced != nil && !f.enforced.Match(row) {
		return 1
	}
	if f.pod != nil && !f.pod.Match(row) {
		return 2
	}
	return plugin.Fits
}

// Explain implements plugin.ColumnFilter.
func (*filter) Explain(v plugin.Verdict) (plugin.Code, []string) {
	if v == 1 {
		return plugin.Unresolvable, []string{reasonEnforced}
	}
	return plugin.Unresolvable, []string{reasonPod}
}

// CompileScore implements plugin.ScoreColumns.
func (p *Plugin) CompileScore(c *plugin.Compile) plugin.ColumnScorer {
	s := &scorer{}
	if a := c.Shape.Spec.Affinity; a != nil {
		s.add(c, a.NodeAffinity)
	}
	s.add(c, p.added)
	if len(s.terms) == 0 {
		return nil
	}
	return s
}

type scorer struct{ terms []term }

type term struct {
	selector *snapshot.NodeSelector
	weight   int32
}

func (s *scorer) add(c *plugin.Compile, a *corev1.NodeAffinity) {
	if a == nil {
		return
	}
	for i := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		p := &a.PreferredDuringSchedulingIgnoredDuringExecution[i]
		if p.Weight == 0 || len(p.Preference.MatchExpressions)+len(p.Preference.MatchFields) == 0 {
			continue
		}
		selector := c.Snapshot.Selector(nil, &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{p.Preference}})
		c.Hold(selector)
		s.terms = append(s.terms, term{selector, p.Weight})
	}
}

// Width implements plugin.Group.
func (*scorer) Width() int { return 1 }

// Follow implements plugin.Group.
func (*scorer) Follow(int32) {}

// Key implements plugin.Group: the weights of the terms that match.
func (s *scorer) Key(row int32, key []int32) {
	key[0] = 0
	for i := range s.terms {
		if s.terms[i].selector.Match(row) {
			key[0] += s.terms[i].weight
		}
	}
}

// Begin implements plugin.GroupScorer.
func (*scorer) Begin([]plugin.Class) {}

// Raw implements plugin.GroupScorer.
func (*scorer) Raw(key []int32) int64 { return int64(key[0]) }

// Normalize implements plugin.GroupScorer.
func (*scorer) Normalize(raw, _, high int64) int64 {
	if high == 0 {
		return raw
	}
	return plugin.MaxScore * raw / high
}

// Events implements plugin.Events.
func (p *Plugin) Events() []plugin.EventHint {
	return []plugin.EventHint{{Resource: plugin.Node, Action: plugin.Add | plugin.UpdateNodeLabel, Hint: func(pod *corev1.Pod, e *plugin.Event) bool {
		node, ok := e.New.(*corev1.Node)
		return !ok || p.matches(pod, node)
	}}}
}

func (p *Plugin) matches(pod *corev1.Pod, node *corev1.Node) bool {
	if !snapshot.MatchLabels(pod.Spec.NodeSelector, node.Labels) {
		return false
	}
	for _, a := range []*corev1.NodeAffinity{p.added, affinityOf(pod)} {
		if a == nil || a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
			continue
		}
		if !snapshot.MatchTerms(a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms, node.Labels, node.Name) {
			return false
		}
	}
	return true
}

func affinityOf(pod *corev1.Pod) *corev1.NodeAffinity {
	if pod.Spec.Affinity == nil {
		return nil
	}
	return pod.Spec.Affinity.NodeAffinity
}
