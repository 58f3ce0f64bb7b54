package admit

import (
	"strconv"

	v1 "k8s.io/api/core/v1"
)

// affinity: the node is one that the pod's nodeSelector and required node affinity
// want. It can have changed since the pod was bound.
func affinity(pod *v1.Pod, s *Snapshot) *Rejection {
	if s.Node == nil {
		return nil
	}
	no := failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
	for key, value := range pod.Spec.NodeSelector {
		if have, ok := s.Node.Labels[key]; !ok || have != value {
			return no
		}
	}
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if matchesTerm(&term, s.Node) {
			return nil
		}
	}
	return no
}

// matchesTerm: all of a term's expressions hold; an empty term matches nothing.
func matchesTerm(term *v1.NodeSelectorTerm, node *v1.Node) bool {
	if len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0 {
		return false
	}
	for i := range term.MatchExpressions {
		r := &term.MatchExpressions[i]
		value, ok := node.Labels[r.Key]
		if !holds(r, value, ok) {
			return false
		}
	}
	for i := range term.MatchFields {
		r := &term.MatchFields[i]
		if r.Key != "metadata.name" || !holds(r, node.Name, true) {
			return false
		}
	}
	return true
}

func holds(r *v1.NodeSelectorRequirement, value string, ok bool) bool {
	switch r.Operator {
	case v1.NodeSelectorOpExists:
		return ok
	case v1.NodeSelectorOpDoesNotExist:
		return !ok
	case v1.NodeSelectorOpIn:
		return ok && contains(r.Values, value)
	case v1.NodeSelectorOpNotIn:
		return !ok || !contains(r.Values, value)
	case v1.NodeSelectorOpGt, v1.NodeSelectorOpLt:
		if !ok || len(r.Values) != 1 {
			return false
		}
		have, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return false
		}
		bound, err := strconv.ParseInt(r.Values[0], 10, 64)
		if err != nil {
			return false
		}
		if r.Operator == v1.NodeSelectorOpGt {
			return have > bound
		}
		return have < bound
	}
	return false
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
