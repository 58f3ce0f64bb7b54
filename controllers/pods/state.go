// Package pods is what workload controllers know about Pods: when one counts as active, ready or available,
// which to delete first, and how they are made from a template and deleted, with the events that tell of it.
package pods

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Active reports whether a Pod may still do work: it has not ended and is not being deleted.
func Active(pod *corev1.Pod) bool { return !Ended(pod) && pod.DeletionTimestamp == nil }

// Ended reports whether all containers of a Pod have terminated for good.
func Ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// Terminating reports whether a Pod is being deleted and has not ended yet.
func Terminating(pod *corev1.Pod) bool { return !Ended(pod) && pod.DeletionTimestamp != nil }

// Condition returns the Pod's condition of that type, or nil.
func Condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// Ready reports whether the Pod's Ready condition is true.
func Ready(pod *corev1.Pod) bool {
	condition := Condition(pod, corev1.PodReady)
	return condition != nil && condition.Status == corev1.ConditionTrue
}

// Available reports whether the Pod has been ready for minReady seconds at the time now.
func Available(pod *corev1.Pod, minReady int32, now time.Time) bool {
	left, ready := untilAvailable(pod, minReady, now)
	return ready && left <= 0
}

// UntilAvailable returns the shortest time after which one of the ready Pods that is not available yet becomes so;
// 0 when there is none.
func UntilAvailable(all []*corev1.Pod, minReady int32, now time.Time) time.Duration {
	var next time.Duration
	for _, pod := range all {
		if left, ready := untilAvailable(pod, minReady, now); ready && left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	return next
}

func untilAvailable(pod *corev1.Pod, minReady int32, now time.Time) (left time.Duration, ready bool) {
	condition := Condition(pod, corev1.PodReady)
	if condition == nil || condition.Status != corev1.ConditionTrue {
		return 0, false
	}
	if minReady == 0 {
		return 0, true
	}
	since := condition.LastTransitionTime
	if since.IsZero() {
		return 0, false
	}
	return since.Add(time.Duration(minReady) * time.Second).Sub(now), true
}

// readyTime returns since when a Pod has been ready; zero if it is not.
func readyTime(pod *corev1.Pod) metav1.Time {
	if condition := Condition(pod, corev1.PodReady); condition != nil && condition.Status == corev1.ConditionTrue {
		return condition.LastTransitionTime
	}
	return metav1.Time{}
}

// Keep returns the Pods that all the conditions hold for.
func Keep(all []*corev1.Pod, conditions ...func(*corev1.Pod) bool) []*corev1.Pod {
	kept := make([]*corev1.Pod, 0, len(all))
next:
	for _, pod := range all {
		for _, holds := range conditions {
			if !holds(pod) {
				continue next
			}
		}
		kept = append(kept, pod)
	}
	return kept
}
