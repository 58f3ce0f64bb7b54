package core

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/resource"
)

// ScaleOf makes the two halves of a Scale from what every scalable kind has. Wanted may be nil: then one.
func ScaleOf(wanted *int32, running int32, selector *metav1.LabelSelector) (autoscalingv1.ScaleSpec, autoscalingv1.ScaleStatus) {
	spec := autoscalingv1.ScaleSpec{Replicas: 1}
	if wanted != nil {
		spec.Replicas = *wanted
	}
	status := autoscalingv1.ScaleStatus{Replicas: running}
	// A selector that does not parse cannot have been stored: validation refused it.
	if parsed, err := metav1.LabelSelectorAsSelector(selector); err == nil {
		status.Selector = parsed.String()
	}
	return spec, status
}

func scaleReplicationControllers() *resource.Scale[*corev1.ReplicationController] {
	return &resource.Scale[*corev1.ReplicationController]{
		Get: func(rc *corev1.ReplicationController) (autoscalingv1.ScaleSpec, autoscalingv1.ScaleStatus) {
			spec, status := ScaleOf(rc.Spec.Replicas, rc.Status.Replicas, nil)
			status.Selector = labels.Set(rc.Spec.Selector).AsSelector().String()
			return spec, status
		},
		Set: func(rc *corev1.ReplicationController, replicas int32) { rc.Spec.Replicas = &replicas },
	}
}
