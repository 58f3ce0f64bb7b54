package deployment

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// maxSurge is how many Pods beyond its size the Deployment may have while it rolls.
func (r *rollout) maxSurge() int32 {
	surge, _ := r.fence()
	return surge
}

// maxUnavailable is how many Pods of its size the Deployment may lack while it rolls.
func (r *rollout) maxUnavailable() int32 {
	_, unavailable := r.fence()
	return min(unavailable, r.replicas())
}

// fence resolves surge (rounded up) and unavailability (rounded down). They are never both 0, or nothing could move.
func (r *rollout) fence() (surge, unavailable int32) {
	rolling := r.d.Spec.Strategy.RollingUpdate
	if r.d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || rolling == nil {
		return 0, 0
	}
	surge = scaled(rolling.MaxSurge, r.replicas(), true)
	unavailable = scaled(rolling.MaxUnavailable, r.replicas(), false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

func scaled(value *intstr.IntOrString, of int32, up bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(value, intstr.FromInt32(0)), int(of), up)
	if err != nil {
		return 0
	}
	return int32(n)
}

// roll replaces old Pods by new ones within the fence.
func (r *rollout) roll() {
	current := r.ensure()
	old := r.except(current)
	size := current.size
	if !current.fresh {
		r.resizeIfNeeded(current, r.sizeOfNewest(current))
	}
	// One direction a turn: what grew now has no Pods yet, so there is nothing to take away for them.
	if current.size == size {
		r.shrink(current, old)
	}
	r.finish(current, old)
}

// recreate takes all old Pods away before the first new one comes.
func (r *rollout) recreate(running map[string]int) {
	current, found := r.adopt(r.newest())
	old := r.except(current)
	shrunk := false
	for _, s := range old {
		if s.size > 0 {
			r.resize(s, 0)
			shrunk = true
		}
	}
	if shrunk || oldRunning(current, old, running) {
		r.report(current, true)
		return
	}
	if !found {
		current = r.ensure()
	}
	r.resizeIfNeeded(current, r.replicas())
	r.finish(current, old)
}

// oldRunning reports whether Pods of other sets than the current one may still work.
func oldRunning(current *set, old []*set, running map[string]int) bool {
	for _, s := range old {
		if s.Status.Replicas > 0 {
			return true
		}
	}
	for uid, n := range running {
		if n > 0 && (current == nil || uid != string(current.UID)) {
			return true
		}
	}
	return false
}

func (r *rollout) finish(current *set, old []*set) {
	if r.complete(&r.d.Status) {
		r.cleanUp(old)
	}
	r.report(current, true)
}

func (r *rollout) resizeIfNeeded(s *set, size int32) {
	if s.size != size {
		r.resize(s, size)
	}
}

// sizeOfNewest is how large the current set may be now: as large as the surge allows beside the others.
func (r *rollout) sizeOfNewest(current *set) int32 {
	wanted := r.replicas()
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || current.size > wanted {
		return wanted
	}
	room := wanted + r.maxSurge() - total(r.sets)
	if room <= 0 {
		return current.size
	}
	return current.size + min(room, wanted-current.size)
}

// shrink takes Pods away from old sets: first those that are not available anyway, then as many as may be missing.
func (r *rollout) shrink(current *set, old []*set) {
	if total(old) == 0 {
		return
	}
	least := r.replicas() - r.maxUnavailable()
	pending := current.size - current.Status.AvailableReplicas
	budget := total(r.sets) - least - pending
	if budget <= 0 {
		return
	}
	for _, s := range old {
		sick := s.size - s.Status.AvailableReplicas
		if n := min(budget, sick); s.size > 0 && n > 0 {
			r.resize(s, s.size-n)
			budget -= n
		}
	}
	spare := available(r.sets) - least
	for _, s := range old {
		if n := min(spare, s.size); n > 0 {
			r.resize(s, s.size-n)
			spare -= n
		}
	}
}
