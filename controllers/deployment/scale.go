package deployment

import (
	"math"
	"sort"

	appsv1 "k8s.io/api/apps/v1"
)

// scale spreads a changed size over the sets that have Pods, without moving the rollout on.
func (r *rollout) scale(current *set, old []*set) {
	if only := activeOrNewest(current, old); only != nil {
		r.resizeIfNeeded(only, r.replicas())
		return
	}
	if r.saturated(current) {
		for _, s := range old {
			r.resizeIfNeeded(s, 0)
		}
		return
	}
	if r.d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		r.scaleInProportion()
	}
}

// activeOrNewest returns the one set that a size belongs to: the only one with Pods, or the newest if none has any;
// nil if several have Pods, or there are no sets.
func activeOrNewest(current *set, old []*set) *set {
	all := old
	if current != nil {
		all = append(old[:len(old):len(old)], current)
	}
	active := withPods(all)
	switch {
	case len(active) == 1:
		return active[0]
	case len(active) > 1 || len(all) == 0:
		return nil
	case current != nil:
		return current
	}
	return old[len(old)-1]
}

func withPods(sets []*set) []*set {
	var active []*set
	for _, s := range sets {
		if s.size > 0 {
			active = append(active, s)
		}
	}
	return active
}

// saturated reports whether the current set alone is all that the Deployment wants, and all of it available.
func (r *rollout) saturated(current *set) bool {
	if current == nil {
		return false
	}
	desired, known := number(current.annotations, DesiredAnnotation)
	return known && current.size == r.replicas() && desired == r.replicas() && current.Status.AvailableReplicas == r.replicas()
}

// scaleInProportion gives each set with Pods its share of the difference, so that a rollout keeps its balance; what
// rounding leaves over goes to the largest.
func (r *rollout) scaleInProportion() {
	active := withPods(r.sets)
	allowed := int32(0)
	if r.replicas() > 0 {
		allowed = r.replicas() + r.maxSurge()
	}
	toAdd := allowed - total(active)
	largestFirst(active, toAdd < 0)
	added := int32(0)
	sizes := make([]int32, len(active))
	for i, s := range active {
		share := int32(0)
		if toAdd != 0 {
			share = r.share(s, toAdd, added)
		}
		sizes[i] = s.size + share
		added += share
	}
	for i, s := range active {
		if i == 0 {
			sizes[i] = max(0, sizes[i]+toAdd-added)
		}
		r.resize(s, sizes[i])
	}
}

// largestFirst orders by size; among equals the younger come first when Pods are added, the older when they are taken away.
func largestFirst(sets []*set, older bool) {
	oldestFirst(sets)
	if !older {
		for i, j := 0, len(sets)-1; i < j; i, j = i+1, j-1 {
			sets[i], sets[j] = sets[j], sets[i]
		}
	}
	sort.SliceStable(sets, func(i, j int) bool { return sets[i].size > sets[j].size })
}

// share is one set's part of toAdd Pods (negative: to remove), of which added are given out already.
func (r *rollout) share(s *set, toAdd, added int32) int32 {
	left := toAdd - added
	if s.size == 0 || left == 0 {
		return 0
	}
	fraction := r.fraction(s)
	if toAdd > 0 {
		return min(fraction, left)
	}
	return max(fraction, left)
}

// fraction is the change that keeps the set's part of the whole what it was when it was last sized.
func (r *rollout) fraction(s *set) int32 {
	if r.replicas() == 0 {
		return -s.size
	}
	most, known := number(s.annotations, MaxAnnotation)
	if !known || most == 0 {
		if most = r.d.Status.Replicas; most == 0 {
			return 0
		}
	}
	now := float64(s.size) * float64(r.replicas()+r.maxSurge()) / float64(most)
	return int32(math.Floor(now+0.5)) - s.size
}
