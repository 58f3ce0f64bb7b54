package snapshot

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// PodMatch chooses pods by namespace and label.
type PodMatch struct {
	Namespaces        []string
	NamespaceSelector labels.Selector // nil: none
	Selector          labels.Selector
}

func (m *PodMatch) matches(s *Snapshot, namespace string, podLabels labels.Set) bool {
	if !slices.Contains(m.Namespaces, namespace) &&
		(m.NamespaceSelector == nil || !m.NamespaceSelector.Matches(s.namespaces[namespace])) {
		return false
	}
	return m.Selector.Matches(podLabels)
}

// Matches says whether the match chooses pods of the shape.
func (s *Snapshot) Matches(m *PodMatch, shape *Shape) bool {
	return m.matches(s, shape.Namespace, shape.Labels)
}

// AffinityTerm is one term of pod affinity or anti-affinity with its namespaces resolved.
type AffinityTerm struct {
	PodMatch
	TopologyKey string
	Weight      int32 // 0 for required terms
}

// Counter counts the placed pods that all of some matches choose.
type Counter struct {
	tally
	matches []PodMatch
	// leaving pods do not count, as upstream has it for topology spread.
	ignoreLeaving bool
	key           string
	holds         int
	parent        *Snapshot
}

// Row is how many chosen pods are on the row.
func (c *Counter) Row(row int32) int32 { return c.rows[row] }

// By returns the counts by domains of a topology.
func (c *Counter) By(t *Topology) *DomainCount { return c.by(t) }

// Hold and Release count the users of a counter; one without users is forgotten.
func (c *Counter) Hold() { c.holds++ }

// Release is the opposite of Hold.
func (c *Counter) Release() {
	if c.holds--; c.holds > 0 {
		return
	}
	s := c.parent
	c.drop()
	delete(s.counters, c.key)
	s.counterList = slices.DeleteFunc(s.counterList, func(o *Counter) bool { return o == c })
	for _, shape := range s.shapes {
		shape.counted = slices.DeleteFunc(shape.counted, func(o *Counter) bool { return o == c })
	}
}

// Counter interns a counter of the pods that every match chooses. The caller must Hold it for as long as it is used.
func (s *Snapshot) Counter(ignoreLeaving bool, matches ...PodMatch) *Counter {
	key := s.keyBuffer[:0]
	key = appendBool(key, ignoreLeaving)
	for i := range matches {
		key = appendMatch(key, &matches[i])
	}
	s.keyBuffer = key
	if c, ok := s.counters[string(key)]; ok {
		return c
	}
	c := &Counter{tally: tally{rows: map[int32]int32{}}, matches: slices.Clone(matches), ignoreLeaving: ignoreLeaving, key: string(key), parent: s}
	for i := range matches {
		s.lookAt(matches[i].Selector)
		s.nsSelected = s.nsSelected || matches[i].NamespaceSelector != nil
	}
	s.counters[c.key] = c
	s.counterList = append(s.counterList, c)
	for _, shape := range s.shapes {
		shape.count(s, c)
	}
	for row := range s.Pods {
		for _, p := range s.Pods[row] {
			if slices.Contains(p.Shape.counted, c) && !(ignoreLeaving && p.leaving) {
				c.add(int32(row), 1)
			}
		}
	}
	return c
}

// TermKind is what a placed pod's term asks of pods that come later.
type TermKind uint8

// The kinds of terms that placed pods carry.
const (
	RequiredAffinity TermKind = iota
	RequiredAntiAffinity
	PreferredAffinity
	PreferredAntiAffinity
)

// Term is an interned affinity term that placed pods carry, and where they are.
type Term struct {
	tally
	AffinityTerm
	Kind TermKind
	key  string
	refs int // shapes that carry it
}

// Row is how many carriers are on the row.
func (t *Term) Row(row int32) int32 { return t.rows[row] }

// In returns the carriers by the domains of the term's own topology.
func (t *Term) In(s *Snapshot) *DomainCount { return t.by(s.Topology(t.TopologyKey)) }

func (s *Snapshot) term(kind TermKind, a AffinityTerm) *Term {
	key := append(s.keyBuffer[:0], byte(kind), byte(a.Weight))
	key = appendString(key, a.TopologyKey)
	key = appendMatch(key, &a.PodMatch)
	s.keyBuffer = key
	t, ok := s.terms[string(key)]
	if !ok {
		t = &Term{tally: tally{rows: map[int32]int32{}}, AffinityTerm: a, Kind: kind, key: string(key)}
		s.terms[t.key] = t
		s.lookAt(a.Selector)
		s.nsSelected = s.nsSelected || a.NamespaceSelector != nil
		s.termList = append(s.termList, t)
	}
	t.refs++
	return t
}

// TermsSince visits the terms interned after the first n, and returns how many there are. Terms that nobody carries any more are left out.
func (s *Snapshot) TermsSince(n int, visit func(*Term)) int {
	for ; n < len(s.termList); n++ {
		if t := s.termList[n]; t.refs > 0 {
			visit(t)
		}
	}
	return n
}

// dropTerm forgets a term that no shape carries.
func (s *Snapshot) dropTerm(t *Term) {
	if t.refs--; t.refs > 0 {
		return
	}
	t.drop()
	delete(s.terms, t.key)
	if s.labelRefs++; s.labelRefs > 256 && s.labelRefs > len(s.termList)/2 {
		s.labelRefs = 0
		s.termList = slices.DeleteFunc(s.termList, func(o *Term) bool { return o.refs == 0 })
		s.Void()
	}
}

// lookAt makes the keys of a selector count in shapes.
func (s *Snapshot) lookAt(selector labels.Selector) {
	requirements, _ := selector.Requirements()
	for i := range requirements {
		s.lookAtKey(requirements[i].Key())
	}
}

// lookAtKey makes a label key count in shapes: pods that have it may no longer be alike, so they are interned again.
func (s *Snapshot) lookAtKey(key string) {
	if _, ok := s.labelIndex[key]; ok {
		return
	}
	s.labelIndex[key] = len(s.labelKeys)
	s.labelKeys = append(s.labelKeys, key)
	s.epoch++ // queued pods must be interned again, too
	buffer := s.keyBuffer
	s.keyBuffer = nil
	for row := range s.Pods {
		for _, p := range s.Pods[row] {
			if _, ok := p.Object.Labels[key]; ok {
				s.reshape(p, int32(row))
			}
		}
		for _, p := range s.Nominated[row] {
			if _, ok := p.Object.Labels[key]; ok {
				s.unref(p.Shape)
				p.Shape = s.Intern(p.Object)
				p.Shape.refs++
			}
		}
	}
	s.keyBuffer = buffer
}

// reshape interns a placed pod again and moves its counts.
func (s *Snapshot) reshape(p *Pod, row int32) {
	s.uncount(p, row)
	old := p.Shape
	p.Shape = s.Intern(p.Object)
	p.Shape.refs++
	s.recount(p, row)
	s.unref(old)
}

// AffinityTerms resolves the terms of a pod's affinity as upstream does: no namespaces and no selector means the pod's own, and the keys
// of matchLabelKeys and mismatchLabelKeys are joined to the selector by the pod's values (KEP-3633; joining twice changes nothing).
func AffinityTerms(namespace string, podLabels map[string]string, terms []corev1.PodAffinityTerm) []AffinityTerm {
	out := make([]AffinityTerm, 0, len(terms))
	for i := range terms {
		out = append(out, affinityTerm(namespace, podLabels, &terms[i], 0))
	}
	return out
}

// WeightedTerms is AffinityTerms for preferred terms.
func WeightedTerms(namespace string, podLabels map[string]string, terms []corev1.WeightedPodAffinityTerm) []AffinityTerm {
	out := make([]AffinityTerm, 0, len(terms))
	for i := range terms {
		out = append(out, affinityTerm(namespace, podLabels, &terms[i].PodAffinityTerm, terms[i].Weight))
	}
	return out
}

func affinityTerm(namespace string, podLabels map[string]string, term *corev1.PodAffinityTerm, weight int32) AffinityTerm {
	a := AffinityTerm{TopologyKey: term.TopologyKey, Weight: weight}
	a.Selector = SelectorOf(term.LabelSelector)
	for _, key := range term.MatchLabelKeys {
		if value, ok := podLabels[key]; ok {
			a.Selector = Require(a.Selector, key, selection.In, value)
		}
	}
	for _, key := range term.MismatchLabelKeys {
		if value, ok := podLabels[key]; ok {
			a.Selector = Require(a.Selector, key, selection.NotIn, value)
		}
	}
	a.Namespaces = slices.Clone(term.Namespaces)
	slices.Sort(a.Namespaces)
	if term.NamespaceSelector != nil {
		a.NamespaceSelector = SelectorOf(term.NamespaceSelector)
	} else if len(a.Namespaces) == 0 {
		a.Namespaces = []string{namespace}
	}
	return a
}

// SelectorOf converts a label selector; one that cannot be parsed, or nil, chooses nothing.
func SelectorOf(selector *metav1.LabelSelector) labels.Selector {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return labels.Nothing()
	}
	return parsed
}

// Require adds one requirement to a selector.
func Require(selector labels.Selector, key string, op selection.Operator, value string) labels.Selector {
	if selector == labels.Nothing() {
		return selector
	}
	requirement, err := labels.NewRequirement(key, op, []string{value})
	if err != nil {
		return labels.Nothing()
	}
	return selector.Add(*requirement)
}
