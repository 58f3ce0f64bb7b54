package statefulset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/pods"
)

// report computes the plan's status from the Pods there are.
func (r *rollout) report() {
	status := appsv1.StatefulSetStatus{
		ObservedGeneration: r.Set.Generation,
		CurrentRevision:    r.Current.Name,
		UpdateRevision:     r.Update.Name,
		CollisionCount:     r.Set.Status.CollisionCount,
		Conditions:         r.Set.Status.Conditions,
	}
	for _, pod := range r.Pods {
		status.Replicas++
		if ready(pod) {
			status.ReadyReplicas++
		}
		if r.available(pod) {
			status.AvailableReplicas++
		}
		if pod.DeletionTimestamp != nil {
			continue
		}
		if revisionOf(pod) == r.Current.Name {
			status.CurrentReplicas++
		}
		if revisionOf(pod) == r.Update.Name {
			status.UpdatedReplicas++
		}
	}
	r.complete(&status)
	r.plan.Status = status
	r.plan.After = pods.UntilAvailable(pods.Keep(r.Pods, func(p *corev1.Pod) bool { return p.DeletionTimestamp == nil }), r.Set.Spec.MinReadySeconds, r.Now)
}

// complete ends a rollout: when all Pods are of the new version and ready, that is the current one.
func (r *rollout) complete(status *appsv1.StatefulSetStatus) {
	size := ptr.Deref(r.Set.Spec.Replicas, 1)
	if r.Set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return
	}
	if status.UpdatedReplicas == size && status.ReadyReplicas == size && status.Replicas == size {
		status.CurrentReplicas = status.UpdatedReplicas
		status.CurrentRevision = status.UpdateRevision
	}
}
