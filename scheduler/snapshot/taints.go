package snapshot

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// taintSets interns lists of taints: a cluster has few different ones, so a verdict per list serves every node.
type taintSets struct {
	sets  [][]corev1.Taint
	index map[string]int32
}

func (t *taintSets) init() {
	t.sets = [][]corev1.Taint{nil}
	t.index = map[string]int32{"": 0}
}

func (t *taintSets) intern(taints []corev1.Taint) int32 {
	if len(taints) == 0 {
		return 0
	}
	var key []byte
	for i := range taints {
		key = appendString(key, taints[i].Key)
		key = appendString(key, taints[i].Value)
		key = appendString(key, string(taints[i].Effect))
	}
	if id, ok := t.index[string(key)]; ok {
		return id
	}
	id := int32(len(t.sets))
	own := make([]corev1.Taint, len(taints))
	for i := range taints {
		own[i] = corev1.Taint{Key: taints[i].Key, Value: taints[i].Value, Effect: taints[i].Effect}
	}
	t.sets = append(t.sets, own)
	t.index[string(key)] = id
	return id
}

// TaintSets is the number of different taint lists so far; ids are below it.
func (s *Snapshot) TaintSets() int32 { return int32(len(s.taints.sets)) }

// TaintSet is the contents of an interned list. Shared: never change it.
func (s *Snapshot) TaintSet(id int32) []corev1.Taint { return s.taints.sets[id] }

// Tolerates says whether one of the tolerations tolerates the taint.
func Tolerates(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range tolerations {
		if ToleratesOne(&tolerations[i], taint) {
			return true
		}
	}
	return false
}

// ToleratesOne says whether the toleration tolerates the taint. An empty effect or key means any; Lt and Gt compare integers (KEP-5471).
func ToleratesOne(t *corev1.Toleration, taint *corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect {
		return false
	}
	if t.Key != "" && t.Key != taint.Key {
		return false
	}
	switch t.Operator {
	case "", corev1.TolerationOpEqual:
		return t.Value == taint.Value
	case corev1.TolerationOpExists:
		return true
	case "Lt", "Gt":
		limit, err := strconv.ParseInt(t.Value, 10, 64)
		if err != nil {
			return false
		}
		value, err := strconv.ParseInt(taint.Value, 10, 64)
		if err != nil {
			return false
		}
		return (t.Operator == "Lt" && value < limit) || (t.Operator == "Gt" && value > limit)
	}
	return false
}
