package decide

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// rule is a spread constraint with its selector worked out.
type rule struct {
	corev1.TopologySpreadConstraint
	selector labels.Selector
}

// rules returns the pod's constraints of one kind, and whether they are the built-in defaults.
func (w *world) rules(pod *corev1.Pod, kind corev1.UnsatisfiableConstraintAction) (list []rule, builtIn bool) {
	if len(pod.Spec.TopologySpreadConstraints) > 0 {
		for _, c := range pod.Spec.TopologySpreadConstraints {
			if c.WhenUnsatisfiable != kind {
				continue
			}
			set := labels.Set{}
			for k, v := range c.LabelSelector.MatchLabels {
				set[k] = v
			}
			selector := set.AsSelector()
			for _, key := range c.MatchLabelKeys {
				if v, ok := pod.Labels[key]; ok {
					r, _ := labels.NewRequirement(key, selection.In, []string{v})
					selector = selector.Add(*r)
				}
			}
			list = append(list, rule{c, selector})
		}
		return list, false
	}
	if kind == corev1.DoNotSchedule {
		return nil, false
	}
	merged := labels.Set{}
	for _, s := range w.services {
		if s.Namespace == pod.Namespace && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			for k, v := range s.Spec.Selector {
				merged[k] = v
			}
		}
	}
	if len(merged) == 0 {
		return nil, false
	}
	return []rule{
		{corev1.TopologySpreadConstraint{MaxSkew: 3, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: kind}, merged.AsSelector()},
		{corev1.TopologySpreadConstraint{MaxSkew: 5, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: kind}, merged.AsSelector()},
	}, true
}

func hasAll(n *corev1.Node, rules []rule) bool {
	for _, r := range rules {
		if _, ok := n.Labels[r.TopologyKey]; !ok {
			return false
		}
	}
	return true
}

func (w *world) included(r rule, pod *corev1.Pod, n *corev1.Node) bool {
	if (r.NodeAffinityPolicy == nil || *r.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor) && !nodeMatches(pod, n) {
		return false
	}
	return r.NodeTaintsPolicy == nil || *r.NodeTaintsPolicy == corev1.NodeInclusionPolicyIgnore || !w.tainted(pod, n)
}

func (w *world) countOn(r rule, pod *corev1.Pod, n *corev1.Node) (count int) {
	for _, other := range w.on(n.Name) {
		if other.Namespace == pod.Namespace && other.DeletionTimestamp == nil && r.selector.Matches(labels.Set(other.Labels)) {
			count++
		}
	}
	return count
}

func (w *world) spreadAllows(pod *corev1.Pod, n *corev1.Node) bool {
	rules, _ := w.rules(pod, corev1.DoNotSchedule)
	for _, r := range rules {
		value, ok := n.Labels[r.TopologyKey]
		if !ok {
			return false
		}
		counts := map[string]int{}
		for _, o := range w.nodes {
			if hasAll(o, rules) && w.included(r, pod, o) {
				counts[o.Labels[r.TopologyKey]] += w.countOn(r, pod, o)
			}
		}
		least := math.MaxInt32
		for _, c := range counts {
			least = min(least, c)
		}
		if r.MinDomains != nil && len(counts) < int(*r.MinDomains) {
			least = 0
		}
		if len(counts) == 0 && (r.MinDomains == nil || *r.MinDomains <= 0) {
			least = 0
		}
		if len(counts) == 0 { // fewer than the one domain that there must be at least
			least = 0
		}
		self := 0
		if r.selector.Matches(labels.Set(pod.Labels)) {
			self = 1
		}
		if counts[value]+self-least > int(r.MaxSkew) {
			return false
		}
	}
	return true
}

func (w *world) spreadScores(pod *corev1.Pod, feasible []int) []int64 {
	out := make([]int64, len(feasible))
	rules, builtIn := w.rules(pod, corev1.ScheduleAnyway)
	if len(rules) == 0 {
		return out
	}
	ignored := func(n *corev1.Node) bool { return !builtIn && !hasAll(n, rules) }
	raw := make([]float64, len(feasible))
	for _, r := range rules {
		domains := map[string]bool{}
		hosts := 0
		for _, i := range feasible {
			n := w.nodes[i]
			if ignored(n) {
				continue
			}
			hosts++
			if v, ok := n.Labels[r.TopologyKey]; ok || builtIn {
				if ok {
					domains[v] = true
				}
			}
		}
		size := len(domains)
		if r.TopologyKey == corev1.LabelHostname {
			size = hosts
		}
		weight := math.Log(float64(size + 2))
		counts := map[string]int{}
		for _, o := range w.nodes {
			if v, ok := o.Labels[r.TopologyKey]; ok && !ignored(o) && w.included(r, pod, o) {
				counts[v] += w.countOn(r, pod, o)
			}
		}
		for j, i := range feasible {
			n := w.nodes[i]
			v, ok := n.Labels[r.TopologyKey]
			if ignored(n) || !ok {
				continue
			}
			count := counts[v]
			if r.TopologyKey == corev1.LabelHostname {
				count = w.countOn(r, pod, n)
			}
			raw[j] += float64(count)*weight + float64(r.MaxSkew-1)
		}
	}
	low, high := int64(math.MaxInt64), int64(0)
	for j, i := range feasible {
		if !ignored(w.nodes[i]) {
			low, high = min(low, int64(math.Round(raw[j]))), max(high, int64(math.Round(raw[j])))
		}
	}
	for j, i := range feasible {
		switch {
		case ignored(w.nodes[i]):
		case high == 0:
			out[j] = 100
		default:
			out[j] = 100 * (high + low - int64(math.Round(raw[j]))) / high
		}
	}
	return out
}

// termMatches says whether owner's term chooses pod.
func (w *world) termMatches(owner *corev1.Pod, t corev1.PodAffinityTerm, pod *corev1.Pod) bool {
	in := false
	for _, ns := range t.Namespaces {
		in = in || ns == pod.Namespace
	}
	if t.NamespaceSelector != nil {
		in = in || selects(t.NamespaceSelector, w.namespaces[pod.Namespace])
	} else if len(t.Namespaces) == 0 {
		in = owner.Namespace == pod.Namespace
	}
	return in && selects(t.LabelSelector, pod.Labels)
}

func required(pod *corev1.Pod) (affinity, anti []corev1.PodAffinityTerm) {
	if a := pod.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			affinity = a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		}
		if a.PodAntiAffinity != nil {
			anti = a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		}
	}
	return affinity, anti
}

func (w *world) sameDomain(a, b *corev1.Node, key string) bool {
	va, ok := a.Labels[key]
	if !ok || b == nil {
		return false
	}
	vb, ok := b.Labels[key]
	return ok && va == vb
}

func (w *world) affinityAllows(pod *corev1.Pod, n *corev1.Node) bool {
	affinity, anti := required(pod)
	matchesAll := func(o *corev1.Pod) bool {
		for _, t := range affinity {
			if !w.termMatches(pod, t, o) {
				return false
			}
		}
		return true
	}
	satisfied, anywhere := true, false
	for _, t := range affinity {
		if _, ok := n.Labels[t.TopologyKey]; !ok {
			return false
		}
		found := false
		for _, o := range w.pods {
			if !matchesAll(o) {
				continue
			}
			at := w.node(o.Spec.NodeName)
			if at == nil {
				continue
			}
			if _, ok := at.Labels[t.TopologyKey]; ok {
				anywhere = true
			}
			found = found || w.sameDomain(n, at, t.TopologyKey)
		}
		satisfied = satisfied && found
	}
	if len(affinity) > 0 && !satisfied && (anywhere || !matchesAll(pod)) {
		return false
	}
	for _, o := range w.pods {
		at := w.node(o.Spec.NodeName)
		for _, t := range anti {
			if w.termMatches(pod, t, o) && w.sameDomain(n, at, t.TopologyKey) {
				return false
			}
		}
		_, theirs := required(o)
		for _, t := range theirs {
			if w.termMatches(o, t, pod) && w.sameDomain(n, at, t.TopologyKey) {
				return false
			}
		}
	}
	return true
}

func preferred(pod *corev1.Pod) (list []corev1.WeightedPodAffinityTerm) {
	if a := pod.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			list = append(list, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution...)
		}
		if a.PodAntiAffinity != nil {
			for _, t := range a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
				t.Weight = -t.Weight
				list = append(list, t)
			}
		}
	}
	return list
}

func (w *world) affinityScores(pod *corev1.Pod, feasible []int) []int64 {
	raw := make([]int64, len(feasible))
	for j, i := range feasible {
		for _, o := range w.pods {
			at := w.node(o.Spec.NodeName)
			for _, t := range preferred(pod) {
				if w.termMatches(pod, t.PodAffinityTerm, o) && w.sameDomain(w.nodes[i], at, t.PodAffinityTerm.TopologyKey) {
					raw[j] += int64(t.Weight)
				}
			}
			for _, t := range preferred(o) {
				if w.termMatches(o, t.PodAffinityTerm, pod) && w.sameDomain(w.nodes[i], at, t.PodAffinityTerm.TopologyKey) {
					raw[j] += int64(t.Weight)
				}
			}
			hard, _ := required(o)
			for _, t := range hard {
				if w.termMatches(o, t, pod) && w.sameDomain(w.nodes[i], at, t.TopologyKey) {
					raw[j]++
				}
			}
		}
	}
	low, high := int64(math.MaxInt64), int64(math.MinInt64)
	for _, r := range raw {
		low, high = min(low, r), max(high, r)
	}
	for j := range raw {
		if high > low {
			raw[j] = int64(100 * (float64(raw[j]-low) / float64(high-low)))
		} else {
			raw[j] = 0
		}
	}
	return raw
}
