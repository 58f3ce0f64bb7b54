package replicaset

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/pods"
)

// Status returns the status of rs with the given active Pods, number of Pods being deleted, and the error of the last try to
// create or delete Pods.
func Status(rs *appsv1.ReplicaSet, active []*corev1.Pod, terminating int, failed error, now time.Time) appsv1.ReplicaSetStatus {
	status := *rs.Status.DeepCopy()
	status.ObservedGeneration = rs.Generation
	status.Replicas = int32(len(active))
	status.FullyLabeledReplicas, status.ReadyReplicas, status.AvailableReplicas = 0, 0, 0
	status.TerminatingReplicas = ptr.To(int32(terminating))
	template := labels.SelectorFromValidatedSet(rs.Spec.Template.Labels)
	for _, pod := range active {
		if template.Matches(labels.Set(pod.Labels)) {
			status.FullyLabeledReplicas++
		}
		if pods.Ready(pod) {
			status.ReadyReplicas++
			if pods.Available(pod, rs.Spec.MinReadySeconds, now) {
				status.AvailableReplicas++
			}
		}
	}
	status.Conditions = failure(status.Conditions, int(*rs.Spec.Replicas)-len(active), failed, now)
	return status
}

// failure sets or removes the ReplicaFailure condition. A failure that is shown already keeps its first message, so
// that an error text that changes with every try does not cause a write each.
func failure(conditions []appsv1.ReplicaSetCondition, missing int, failed error, now time.Time) []appsv1.ReplicaSetCondition {
	var others []appsv1.ReplicaSetCondition
	shown := false
	for _, condition := range conditions {
		if condition.Type == appsv1.ReplicaSetReplicaFailure {
			shown = true
			continue
		}
		others = append(others, condition)
	}
	if failed == nil {
		return others
	}
	if shown {
		return conditions
	}
	reason := "FailedCreate"
	if missing < 0 {
		reason = "FailedDelete"
	}
	return append(others, appsv1.ReplicaSetCondition{
		Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
		LastTransitionTime: metav1.NewTime(now), Reason: reason, Message: failed.Error(),
	})
}

func sameStatus(a, b *appsv1.ReplicaSetStatus) bool { return equality.Semantic.DeepEqual(a, b) }
