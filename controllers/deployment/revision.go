package deployment

import (
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Annotations that the controller keeps on ReplicaSets, the first on the Deployment too. kubectl rollout reads them.
const (
	RevisionAnnotation = "deployment.kubernetes.io/revision"
	// HistoryAnnotation lists the earlier revisions of a set that was rolled back to, by commas.
	HistoryAnnotation = "deployment.kubernetes.io/revision-history"
	// DesiredAnnotation is the Deployment's size when the set was last sized; a difference means that it was scaled since.
	DesiredAnnotation = "deployment.kubernetes.io/desired-replicas"
	// MaxAnnotation is DesiredAnnotation with the surge that was allowed then.
	MaxAnnotation = "deployment.kubernetes.io/max-replicas"
)

// historyLimit is how many characters of HistoryAnnotation are kept.
const historyLimit = 2000

// notInherited are annotations of a Deployment that its ReplicaSets do not take over.
var notInherited = map[string]bool{
	corev1.LastAppliedConfigAnnotation: true, RevisionAnnotation: true, HistoryAnnotation: true, DesiredAnnotation: true, MaxAnnotation: true,
	"deprecated.deployment.rollback.to": true,
}

// nextRevision is the number after those of all sets but the current one.
func (r *rollout) nextRevision(current *set) int64 {
	var highest int64
	for _, s := range r.except(current) {
		highest = max(highest, revision(s))
	}
	return highest + 1
}

// revision of a set; 0 if it has none or an unreadable one.
func revision(s *set) int64 {
	n, err := strconv.ParseInt(s.annotations[RevisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// advance copies the Deployment's annotations to a set and raises its revision. A set that had a revision before is
// being rolled back to: its history keeps the old number.
func (r *rollout) advance(s *set, to int64, exists bool) {
	for key, value := range r.d.Annotations {
		if !notInherited[key] {
			s.annotate(key, value)
		}
	}
	before, had := s.annotations[RevisionAnnotation]
	if revision(s) < to {
		s.annotate(RevisionAnnotation, strconv.FormatInt(to, 10))
		if had {
			s.annotate(HistoryAnnotation, history(s.annotations[HistoryAnnotation], before))
		}
	}
	if !exists {
		s.annotate(DesiredAnnotation, decimal(r.replicas()))
		s.annotate(MaxAnnotation, decimal(r.replicas()+r.maxSurge()))
	}
}

// history appends a revision to a list of them, dropping the oldest where it gets too long.
func history(list, revision string) string {
	if list == "" {
		return revision
	}
	all := append(strings.Split(list, ","), revision)
	for len(all) > 1 && len(strings.Join(all, ",")) > historyLimit {
		all = all[1:]
	}
	return strings.Join(all, ",")
}

// cleanUp plans the deletion of the lowest revisions among empty sets until no more than revisionHistoryLimit sets remain.
func (r *rollout) cleanUp(old []*set) {
	limit := r.d.Spec.RevisionHistoryLimit
	if limit == nil {
		return
	}
	var alive []*set
	for _, s := range old {
		if s.DeletionTimestamp == nil {
			alive = append(alive, s)
		}
	}
	excess := len(alive) - int(*limit)
	if excess <= 0 {
		return
	}
	sort.SliceStable(alive, func(i, j int) bool { return revision(alive[i]) < revision(alive[j]) })
	for _, s := range alive[:excess] {
		settled := s.Status.ObservedGeneration >= s.Generation
		if s.size == 0 && s.Status.Replicas == 0 && settled {
			r.plan.Delete = append(r.plan.Delete, s.ReplicaSet)
		}
	}
}

// annotate sets an annotation on a copy of the map, and marks the set only if that changed something.
func (s *set) annotate(key, value string) {
	if old, found := s.annotations[key]; found && old == value {
		return
	}
	s.annotations = with(s.annotations, key, value)
	s.edited = true
}

// number reads a 32-bit annotation.
func number(annotations map[string]string, key string) (int32, bool) {
	n, err := strconv.ParseInt(annotations[key], 10, 32)
	return int32(n), err == nil
}

func decimal(n int32) string { return strconv.FormatInt(int64(n), 10) }
