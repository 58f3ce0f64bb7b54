package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func scaleDeployments() *resource.Scale[*appsv1.Deployment] {
	return &resource.Scale[*appsv1.Deployment]{
		Get: func(d *appsv1.Deployment) (autoscalingv1.ScaleSpec, autoscalingv1.ScaleStatus) {
			return core.ScaleOf(d.Spec.Replicas, d.Status.Replicas, d.Spec.Selector)
		},
		Set: func(d *appsv1.Deployment, replicas int32) { d.Spec.Replicas = &replicas },
	}
}

func scaleReplicaSets() *resource.Scale[*appsv1.ReplicaSet] {
	return &resource.Scale[*appsv1.ReplicaSet]{
		Get: func(rs *appsv1.ReplicaSet) (autoscalingv1.ScaleSpec, autoscalingv1.ScaleStatus) {
			return core.ScaleOf(rs.Spec.Replicas, rs.Status.Replicas, rs.Spec.Selector)
		},
		Set: func(rs *appsv1.ReplicaSet, replicas int32) { rs.Spec.Replicas = &replicas },
	}
}

func scaleStatefulSets() *resource.Scale[*appsv1.StatefulSet] {
	return &resource.Scale[*appsv1.StatefulSet]{
		Get: func(s *appsv1.StatefulSet) (autoscalingv1.ScaleSpec, autoscalingv1.ScaleStatus) {
			return core.ScaleOf(s.Spec.Replicas, s.Status.Replicas, s.Spec.Selector)
		},
		Set: func(s *appsv1.StatefulSet, replicas int32) { s.Spec.Replicas = &replicas },
	}
}
