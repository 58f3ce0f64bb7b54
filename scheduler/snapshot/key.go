package snapshot

import (
	"encoding/binary"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The append functions write values so that two of them are equal exactly if their bytes are.

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendInt(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func (s *Snapshot) appendMap(b []byte, m map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	if len(m) == 0 {
		return b
	}
	names := s.keyNames[:0]
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		b = appendString(b, k)
		b = appendString(b, m[k])
	}
	s.keyNames = names[:0]
	return b
}

func appendNodeTerms(b []byte, terms []corev1.NodeSelectorTerm) []byte {
	b = binary.AppendUvarint(b, uint64(len(terms)))
	for i := range terms {
		b = appendRequirements(b, terms[i].MatchExpressions)
		b = appendRequirements(b, terms[i].MatchFields)
	}
	return b
}

func appendRequirements(b []byte, list []corev1.NodeSelectorRequirement) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		b = appendString(b, list[i].Key)
		b = appendString(b, string(list[i].Operator))
		b = appendStrings(b, list[i].Values)
	}
	return b
}

func (s *Snapshot) appendLabelSelector(b []byte, sel *metav1.LabelSelector) []byte {
	if sel == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = s.appendMap(b, sel.MatchLabels)
	b = binary.AppendUvarint(b, uint64(len(sel.MatchExpressions)))
	for i := range sel.MatchExpressions {
		e := &sel.MatchExpressions[i]
		b = appendString(b, e.Key)
		b = appendString(b, string(e.Operator))
		b = appendStrings(b, e.Values)
	}
	return b
}

func (s *Snapshot) appendPodTerms(b []byte, terms []corev1.PodAffinityTerm) []byte {
	b = binary.AppendUvarint(b, uint64(len(terms)))
	for i := range terms {
		b = s.appendPodTerm(b, &terms[i])
	}
	return b
}

func (s *Snapshot) appendPodTerm(b []byte, t *corev1.PodAffinityTerm) []byte {
	b = s.appendLabelSelector(b, t.LabelSelector)
	b = s.appendLabelSelector(b, t.NamespaceSelector)
	b = appendStrings(b, t.Namespaces)
	b = appendString(b, t.TopologyKey)
	b = appendStrings(b, t.MatchLabelKeys)
	return appendStrings(b, t.MismatchLabelKeys)
}

func (s *Snapshot) appendWeighted(b []byte, terms []corev1.WeightedPodAffinityTerm) []byte {
	b = binary.AppendUvarint(b, uint64(len(terms)))
	for i := range terms {
		b = appendInt(b, int64(terms[i].Weight))
		b = s.appendPodTerm(b, &terms[i].PodAffinityTerm)
	}
	return b
}

func (s *Snapshot) appendAffinity(b []byte, a *corev1.Affinity) []byte {
	if n := a.NodeAffinity; n != nil {
		b = append(b, 'n')
		if r := n.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
			b = append(b, 'r')
			b = appendNodeTerms(b, r.NodeSelectorTerms)
		}
		for i := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			p := &n.PreferredDuringSchedulingIgnoredDuringExecution[i]
			b = appendInt(append(b, 'p'), int64(p.Weight))
			b = appendRequirements(b, p.Preference.MatchExpressions)
			b = appendRequirements(b, p.Preference.MatchFields)
		}
	}
	if p := a.PodAffinity; p != nil {
		b = append(b, 'a')
		b = s.appendPodTerms(b, p.RequiredDuringSchedulingIgnoredDuringExecution)
		b = s.appendWeighted(b, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		b = append(b, 'x')
		b = s.appendPodTerms(b, p.RequiredDuringSchedulingIgnoredDuringExecution)
		b = s.appendWeighted(b, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return b
}

func (s *Snapshot) appendSpread(b []byte, list []corev1.TopologySpreadConstraint) []byte {
	for i := range list {
		c := &list[i]
		b = appendInt(b, int64(c.MaxSkew))
		b = appendString(b, c.TopologyKey)
		b = appendString(b, string(c.WhenUnsatisfiable))
		b = s.appendLabelSelector(b, c.LabelSelector)
		b = appendStrings(b, c.MatchLabelKeys)
		if c.MinDomains != nil {
			b = appendInt(append(b, 'd'), int64(*c.MinDomains))
		}
		if c.NodeAffinityPolicy != nil {
			b = appendString(append(b, 'a'), string(*c.NodeAffinityPolicy))
		}
		if c.NodeTaintsPolicy != nil {
			b = appendString(append(b, 't'), string(*c.NodeTaintsPolicy))
		}
	}
	return b
}

func appendMatch(b []byte, m *PodMatch) []byte {
	b = appendStrings(b, m.Namespaces)
	b = appendBool(b, m.NamespaceSelector != nil)
	if m.NamespaceSelector != nil {
		b = appendString(b, m.NamespaceSelector.String())
		b = appendBool(b, selectsNothing(m.NamespaceSelector))
	}
	b = appendString(b, m.Selector.String())
	return appendBool(b, selectsNothing(m.Selector))
}
