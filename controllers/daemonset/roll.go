package daemonset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/controllers/pods"
)

// roll replaces Pods of older templates, within the limits of the strategy.
func (r *rollout) roll() {
	surge, unavailable := r.fence()
	if surge > 0 {
		r.rollBySurge(surge)
		return
	}
	r.rollByDeletion(unavailable)
}

// pair returns a node's Pod of the current template and that of an older one; false if there are several of either.
func (r *rollout) pair(p *place) (newPod, oldPod *corev1.Pod, plain bool) {
	for _, pod := range p.pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		slot := &oldPod
		if updated(r.Set, pod, r.Hash) {
			slot = &newPod
		}
		if *slot != nil {
			return nil, nil, false
		}
		*slot = pod
	}
	return newPod, oldPod, true
}

// rollByDeletion deletes old Pods; their replacements come next turn. One that is not available anyway costs nothing.
func (r *rollout) rollByDeletion(budget int) {
	var candidates []*corev1.Pod
	for _, p := range r.places {
		if len(p.pods) == 0 {
			continue
		}
		newPod, oldPod, plain := r.pair(p)
		switch {
		case !plain || (newPod == nil) == (oldPod == nil):
			budget--
		case newPod != nil:
			if !r.available(newPod) {
				budget--
			}
		case !r.available(oldPod):
			budget--
			r.delete(oldPod)
		default:
			candidates = append(candidates, oldPod)
		}
	}
	r.delete(candidates[:min(max(0, budget), len(candidates))]...)
}

// rollBySurge creates new Pods beside old ones, and deletes the old ones that a new one can stand in for.
func (r *rollout) rollBySurge(budget int) {
	var candidates []string
	for _, p := range r.places {
		newPod, oldPod, plain := r.pair(p)
		switch {
		case !plain:
			budget--
		case oldPod == nil || !p.run:
		case newPod != nil:
			if r.available(newPod) {
				r.delete(oldPod)
			} else {
				budget--
			}
		case !r.available(oldPod):
			r.plan.Create = append(r.plan.Create, p.Name)
		default:
			candidates = append(candidates, p.Name)
		}
	}
	r.plan.Create = append(r.plan.Create, candidates[:min(max(0, budget), len(candidates))]...)
}

// report computes the plan's status from the Pods there are.
func (r *rollout) report() {
	status := appsv1.DaemonSetStatus{
		ObservedGeneration: r.Set.Generation,
		CollisionCount:     r.Set.Status.CollisionCount,
		Conditions:         r.Set.Status.Conditions,
	}
	if r.Unseen {
		status.ObservedGeneration = r.Set.Status.ObservedGeneration
	}
	for _, p := range r.places {
		if !p.run {
			if len(p.pods) > 0 {
				status.NumberMisscheduled++
			}
			continue
		}
		status.DesiredNumberScheduled++
		if len(p.pods) == 0 {
			continue
		}
		status.CurrentNumberScheduled++
		pod := p.pods[0]
		if pods.Ready(pod) {
			status.NumberReady++
			if r.available(pod) {
				status.NumberAvailable++
			}
		}
		if updated(r.Set, pod, r.Hash) {
			status.UpdatedNumberScheduled++
		}
	}
	status.NumberUnavailable = status.DesiredNumberScheduled - status.NumberAvailable
	r.plan.Status = status
	if next := pods.UntilAvailable(r.Pods, r.Set.Spec.MinReadySeconds, r.Now); next > 0 {
		r.again(next)
	}
}
