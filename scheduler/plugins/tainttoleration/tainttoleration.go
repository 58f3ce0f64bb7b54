// Package tainttoleration keeps pods off nodes whose taints they do not tolerate, and prefers nodes with fewer that merely advise against it.
package tainttoleration

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Name of the plugin.
const Name = "TaintToleration"

// Plugin is TaintToleration.
type Plugin struct{}

// New returns the plugin.
func New() *Plugin { return &Plugin{} }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// CompileFilter implements plugin.FilterColumns.
func (*Plugin) CompileFilter(c *plugin.Compile) plugin.ColumnFilter {
	return &filter{snapshot: c.Snapshot, tolerations: c.Shape.Spec.Tolerations}
}

// filter remembers its answer by taint set, of which a cluster has few.
type filter struct {
	snapshot    *snapshot.Snapshot
	tolerations []corev1.Toleration
	known       []uint8 // by taint set: 0 not asked yet, 1 tolerated, 2 not
}

// Check implements plugin.RowFilter.
func (f *filter) Check(row int32) plugin.Verdict {
	set := f.snapshot.Taints[row]
	if set == 0 {
		return plugin.Fits
	}
	for int(set) >= len(f.known) {
		f.known = append(f.known, 0)
	}
	if f.known[set] == 0 {
		f.known[set] = 1
		if Untolerated(f.snapshot.TaintSet(set), f.tolerations) != nil {
			f.known[set] = 2
		}
	}
	return plugin.Verdict(f.known[set] - 1)
}

// Explain implements plugin.ColumnFilter.
func (*filter) Explain(plugin.Verdict) (plugin.Code, []string) {
	return plugin.Unresolvable, []string{"node(s) had untolerated taint(s)"}
}

// Advise names the taints in the way.
func (f *filter) Advise(row int32, _ plugin.Verdict) (list []string) {
	for _, t := range f.snapshot.TaintSet(f.snapshot.Taints[row]) {
		if Untolerated([]corev1.Taint{t}, f.tolerations) != nil {
			list = append(list, "remove taint "+t.ToString()+" from "+f.snapshot.NameOf(row)+", or tolerate it")
		}
	}
	return list
}

// Untolerated returns the first taint that keeps pods with the tolerations away, or nil.
func Untolerated(taints []corev1.Taint, tolerations []corev1.Toleration) *corev1.Taint {
	for i := range taints {
		t := &taints[i]
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !snapshot.Tolerates(tolerations, t) {
			return t
		}
	}
	return nil
}

// CompileScore implements plugin.ScoreColumns.
func (*Plugin) CompileScore(c *plugin.Compile) plugin.ColumnScorer {
	s := &scorer{snapshot: c.Snapshot}
	for _, t := range c.Shape.Spec.Tolerations {
		if t.Effect == "" || t.Effect == corev1.TaintEffectPreferNoSchedule {
			s.tolerations = append(s.tolerations, t)
		}
	}
	return s
}

type scorer struct {
	snapshot    *snapshot.Snapshot
	tolerations []corev1.Toleration
	known       []int32 // by taint set: taints that advise against, plus one
}

// Width implements plugin.Group.
func (*scorer) Width() int { return 1 }

// Follow implements plugin.Group.
func (*scorer) Follow(int32) {}

// Key implements plugin.Group: the number of untolerated PreferNoSchedule taints.
func (s *scorer) Key(row int32, key []int32) {
	set := s.snapshot.Taints[row]
	for int(set) >= len(s.known) {
		s.known = append(s.known, 0)
	}
	if s.known[set] == 0 {
		n := int32(1)
		taints := s.snapshot.TaintSet(set)
		for i := range taints {
			if taints[i].Effect == corev1.TaintEffectPreferNoSchedule && !snapshot.Tolerates(s.tolerations, &taints[i]) {
				n++
			}
		}
		s.known[set] = n
	}
	key[0] = s.known[set] - 1
}

// Begin implements plugin.GroupScorer.
func (*scorer) Begin([]plugin.Class) {}

// Raw implements plugin.GroupScorer.
func (*scorer) Raw(key []int32) int64 { return int64(key[0]) }

// Normalize implements plugin.GroupScorer: none is best.
func (*scorer) Normalize(raw, _, high int64) int64 {
	if high == 0 {
		return plugin.MaxScore
	}
	return plugin.MaxScore - plugin.MaxScore*raw/high
}

// Events implements plugin.Events.
func (*Plugin) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.Node, Action: plugin.Add | plugin.UpdateNodeTaint, Hint: func(pod *corev1.Pod, e *plugin.Event) bool {
			node, ok := e.New.(*corev1.Node)
			if !ok || Untolerated(node.Spec.Taints, pod.Spec.Tolerations) != nil {
				return !ok
			}
			old, ok := e.Old.(*corev1.Node)
			return !ok || old == nil || Untolerated(old.Spec.Taints, pod.Spec.Tolerations) != nil
		}},
		{Resource: plugin.UnscheduledPod, Action: plugin.UpdatePodTolerations},
	}
}
