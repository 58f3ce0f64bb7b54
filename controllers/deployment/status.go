package deployment

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// report computes the plan's status. current is the set of the current template, nil if there is none. Only
// a turn that moves the rollout judges its progress: one that scales or is paused counts alone.
func (r *rollout) report(current *set, judge bool) {
	status := r.count(current)
	if judge {
		r.progress(&status, current)
	}
	r.plan.Status = status
	r.plan.After = r.recheck(&status)
}

// count sums the sets' statuses up.
func (r *rollout) count(current *set) appsv1.DeploymentStatus {
	status := appsv1.DeploymentStatus{
		ObservedGeneration: r.d.Generation,
		CollisionCount:     r.d.Status.CollisionCount,
		Conditions:         append([]appsv1.DeploymentCondition(nil), r.d.Status.Conditions...),
	}
	terminating, known := int32(0), true
	for _, s := range r.sets {
		status.Replicas += s.Status.Replicas
		status.ReadyReplicas += s.Status.ReadyReplicas
		status.AvailableReplicas += s.Status.AvailableReplicas
		switch {
		case s.Status.TerminatingReplicas != nil:
			terminating += *s.Status.TerminatingReplicas
		case !s.fresh:
			known = false // not counted yet: better no number than a wrong one
		}
	}
	if known {
		status.TerminatingReplicas = &terminating
	}
	if current != nil {
		status.UpdatedReplicas = current.Status.Replicas
	}
	status.UnavailableReplicas = max(0, total(r.sets)-status.AvailableReplicas)
	if status.AvailableReplicas >= r.replicas()-r.maxUnavailable() {
		setCondition(&status, r.condition(appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability."))
	} else {
		setCondition(&status, r.condition(appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability."))
	}
	return status
}

// progress sets the conditions Progressing and ReplicaFailure.
func (r *rollout) progress(status *appsv1.DeploymentStatus, current *set) {
	before := condition(&r.d.Status, appsv1.DeploymentProgressing)
	if r.d.Spec.ProgressDeadlineSeconds == nil {
		removeCondition(status, appsv1.DeploymentProgressing)
	}
	done := status.Replicas == status.UpdatedReplicas && before != nil && before.Reason == "NewReplicaSetAvailable"
	if r.hasDeadline() && !done {
		r.judge(status, before, current)
	}
	removed := *status
	removeCondition(&removed, appsv1.DeploymentReplicaFailure)
	if failure := r.failure(current); failure != nil {
		setCondition(status, *failure)
	} else {
		*status = removed
	}
}

// judge says how a rollout that is not known to be done goes.
func (r *rollout) judge(status *appsv1.DeploymentStatus, before *appsv1.DeploymentCondition, current *set) {
	subject := `Deployment "` + r.d.Name + `"`
	if current != nil {
		subject = `ReplicaSet "` + current.Name + `"`
	}
	progressing := appsv1.DeploymentProgressing
	switch {
	case r.complete(status):
		setCondition(status, r.condition(progressing, corev1.ConditionTrue, "NewReplicaSetAvailable", subject+" has successfully progressed."))
	case r.moved(status):
		// Always written, even with the same reason: its time is what the deadline counts from.
		now := r.condition(progressing, corev1.ConditionTrue, "ReplicaSetUpdated", subject+" is progressing.")
		if before != nil && before.Status == corev1.ConditionTrue {
			now.LastTransitionTime = before.LastTransitionTime
		}
		removeCondition(status, progressing)
		setCondition(status, now)
	case r.timedOut(before):
		setCondition(status, r.condition(progressing, corev1.ConditionFalse, "ProgressDeadlineExceeded", subject+" has timed out progressing."))
	}
}

// complete reports whether all Pods are of the current template and available, and no others are left.
func (r *rollout) complete(status *appsv1.DeploymentStatus) bool {
	wanted := r.replicas()
	return status.UpdatedReplicas == wanted && status.Replicas == wanted && status.AvailableReplicas == wanted &&
		status.ObservedGeneration >= r.d.Generation
}

// moved reports whether there are more new, fewer old, more ready or more available Pods than before.
func (r *rollout) moved(status *appsv1.DeploymentStatus) bool {
	was := &r.before.Status
	return status.UpdatedReplicas > was.UpdatedReplicas ||
		status.Replicas-status.UpdatedReplicas < was.Replicas-was.UpdatedReplicas ||
		status.ReadyReplicas > was.ReadyReplicas || status.AvailableReplicas > was.AvailableReplicas
}

func (r *rollout) timedOut(progress *appsv1.DeploymentCondition) bool {
	if progress == nil || progress.Reason == "NewReplicaSetAvailable" {
		return false
	}
	return progress.Reason == "ProgressDeadlineExceeded" || progress.LastUpdateTime.Add(r.deadline()).Before(r.now)
}

// recheck is the time until a rollout that does not move has run out of time.
func (r *rollout) recheck(status *appsv1.DeploymentStatus) time.Duration {
	progress := condition(status, appsv1.DeploymentProgressing)
	if progress == nil || !r.hasDeadline() || r.d.Spec.Paused || r.complete(status) || progress.Reason == "ProgressDeadlineExceeded" {
		return 0
	}
	if progress.Reason == "NewReplicaSetAvailable" {
		return 0 // it can not time out any more
	}
	// One second more, since times in conditions are whole seconds.
	return max(time.Second, progress.LastUpdateTime.Add(r.deadline()).Sub(r.now)+time.Second)
}

// failure returns the ReplicaFailure condition of a set, the current one's before others'.
func (r *rollout) failure(current *set) *appsv1.DeploymentCondition {
	ordered := r.except(current)
	if current != nil {
		ordered = append([]*set{current}, ordered...)
	}
	for _, s := range ordered {
		for _, c := range s.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure {
				return &appsv1.DeploymentCondition{
					Type: appsv1.DeploymentReplicaFailure, Status: c.Status, Reason: c.Reason, Message: c.Message,
					LastTransitionTime: c.LastTransitionTime, LastUpdateTime: c.LastTransitionTime,
				}
			}
		}
	}
	return nil
}

// notePause tells by the Progressing condition that a rollout was paused or resumed. One that has timed out stays so.
func (r *rollout) notePause() {
	if !r.hasDeadline() || r.d.DeletionTimestamp != nil {
		return
	}
	progress := condition(&r.d.Status, appsv1.DeploymentProgressing)
	if progress != nil && progress.Reason == "ProgressDeadlineExceeded" {
		return
	}
	paused := progress != nil && progress.Reason == "DeploymentPaused"
	switch {
	case r.d.Spec.Paused && !paused:
		r.set(appsv1.DeploymentProgressing, corev1.ConditionUnknown, "DeploymentPaused", "Deployment is paused")
	case !r.d.Spec.Paused && paused:
		r.set(appsv1.DeploymentProgressing, corev1.ConditionUnknown, "DeploymentResumed", "Deployment is resumed")
	}
}

// hasDeadline reports whether progress is watched at all; the largest number stands for no deadline.
func (r *rollout) hasDeadline() bool {
	return r.d.Spec.ProgressDeadlineSeconds != nil && *r.d.Spec.ProgressDeadlineSeconds != 1<<31-1
}

func (r *rollout) deadline() time.Duration {
	return time.Duration(*r.d.Spec.ProgressDeadlineSeconds) * time.Second
}

// set sets a condition in the status that report starts from.
func (r *rollout) set(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	setCondition(&r.d.Status, r.condition(kind, status, reason, message))
}

func (r *rollout) condition(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) appsv1.DeploymentCondition {
	now := metav1.NewTime(r.now)
	return appsv1.DeploymentCondition{Type: kind, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now}
}

func condition(status *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			return &status.Conditions[i]
		}
	}
	return nil
}

// setCondition replaces a condition of the same type, unless it says the same for the same reason.
func setCondition(status *appsv1.DeploymentStatus, to appsv1.DeploymentCondition) {
	if old := condition(status, to.Type); old != nil {
		if old.Status == to.Status && old.Reason == to.Reason {
			return
		}
		if old.Status == to.Status {
			to.LastTransitionTime = old.LastTransitionTime
		}
	}
	removeCondition(status, to.Type)
	status.Conditions = append(status.Conditions, to)
}

func removeCondition(status *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType) {
	var others []appsv1.DeploymentCondition
	for _, c := range status.Conditions {
		if c.Type != kind {
			others = append(others, c)
		}
	}
	status.Conditions = others
}
