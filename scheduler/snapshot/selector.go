package snapshot

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// NodeSelector is an interned choice of nodes, with its answer for every row as one bit.
type NodeSelector struct {
	plain  map[string]string
	terms  []corev1.NodeSelectorTerm
	some   bool // terms count: a selector with no term that matches chooses nothing
	bits   []uint64
	key    string
	holds  int
	parent *Snapshot
}

// Match says whether the row is chosen.
func (n *NodeSelector) Match(row int32) bool { return n.bits[row>>6]&(1<<(row&63)) != 0 }

// Hold and Release count the users of a selector; one without users is forgotten.
func (n *NodeSelector) Hold() { n.holds++ }

// Release is the opposite of Hold.
func (n *NodeSelector) Release() {
	if n.holds--; n.holds == 0 {
		delete(n.parent.selectors, n.key)
	}
}

func (n *NodeSelector) grow(rows int) {
	for len(n.bits)*64 < rows {
		n.bits = append(n.bits, 0)
	}
}

func (n *NodeSelector) set(s *Snapshot, row int32) {
	bit := uint64(1) << (row & 63)
	n.bits[row>>6] &^= bit
	node := s.pendingNode(row)
	if node == nil || !MatchLabels(n.plain, node.Labels) {
		return
	}
	if !n.some || MatchTerms(n.terms, node.Labels, node.Name) {
		n.bits[row>>6] |= bit
	}
}

// pendingNode is the node of a row while it is being replaced, too.
func (s *Snapshot) pendingNode(row int32) *Node {
	if s.Flags[row]&Present == 0 {
		return nil
	}
	return s.Node[row]
}

// Selector interns a plain selector (labels that must be equal) together with required terms (nil: any node).
// The caller must Hold it for as long as it is used.
func (s *Snapshot) Selector(plain map[string]string, required *corev1.NodeSelector) *NodeSelector {
	key := s.keyBuffer[:0]
	key = s.appendMap(key, plain)
	if required != nil {
		key = append(key, 'r')
		key = appendNodeTerms(key, required.NodeSelectorTerms)
	}
	s.keyBuffer = key
	if sel, ok := s.selectors[string(key)]; ok {
		return sel
	}
	sel := &NodeSelector{plain: plain, key: string(key), parent: s}
	if required != nil {
		sel.terms, sel.some = required.NodeSelectorTerms, true
	}
	sel.grow(max(len(s.Node), 1))
	for row := range s.Node {
		sel.set(s, int32(row))
	}
	s.selectors[sel.key] = sel
	return sel
}

// MatchLabels says whether all of want is in have.
func MatchLabels(want, have map[string]string) bool {
	for k, v := range want {
		if w, ok := have[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// MatchTerms says whether one of the terms matches. A term with no requirement matches nothing.
func MatchTerms(terms []corev1.NodeSelectorTerm, nodeLabels map[string]string, name string) bool {
	for i := range terms {
		if MatchTerm(&terms[i], nodeLabels, name) {
			return true
		}
	}
	return false
}

// MatchTerm says whether all requirements of the term hold.
func MatchTerm(term *corev1.NodeSelectorTerm, nodeLabels map[string]string, name string) bool {
	if len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0 {
		return false
	}
	for i := range term.MatchExpressions {
		value, ok := nodeLabels[term.MatchExpressions[i].Key]
		if !matchRequirement(&term.MatchExpressions[i], value, ok) {
			return false
		}
	}
	for i := range term.MatchFields {
		field := &term.MatchFields[i]
		if field.Key != "metadata.name" || !matchRequirement(field, name, true) {
			return false
		}
	}
	return true
}

func matchRequirement(r *corev1.NodeSelectorRequirement, value string, ok bool) bool {
	switch r.Operator {
	case corev1.NodeSelectorOpIn:
		return ok && slices.Contains(r.Values, value)
	case corev1.NodeSelectorOpNotIn:
		return !ok || !slices.Contains(r.Values, value)
	case corev1.NodeSelectorOpExists:
		return ok
	case corev1.NodeSelectorOpDoesNotExist:
		return !ok
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if !ok || len(r.Values) != 1 {
			return false
		}
		have, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return false
		}
		limit, err := strconv.ParseInt(r.Values[0], 10, 64)
		if err != nil {
			return false
		}
		return (r.Operator == corev1.NodeSelectorOpGt && have > limit) || (r.Operator == corev1.NodeSelectorOpLt && have < limit)
	}
	return false
}
