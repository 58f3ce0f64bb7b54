package autoscaling

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// HorizontalPodAutoscalersV1 is the older version, which knows one metric, CPU utilization; the others travel in annotations.
func HorizontalPodAutoscalersV1(stored *resource.Kind) *resource.Kind {
	return resource.Define(resource.Definition[*autoscalingv1.HorizontalPodAutoscaler]{
		Group: "autoscaling", Version: "v1", Kind: "HorizontalPodAutoscaler", Plural: "horizontalpodautoscalers",
		Short: []string{"hpa"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Validate: validateAutoscalerV1, ValidateUpdate: validateAutoscalerV1Update,
		Default: func(h *autoscalingv1.HorizontalPodAutoscaler) {
			if h.Spec.MinReplicas == nil {
				h.Spec.MinReplicas = ptr.To[int32](1)
			}
		},
		Views: []resource.View[*autoscalingv1.HorizontalPodAutoscaler]{{
			Name: "status", Prepare: func(_ *resource.Request, obj, old *autoscalingv1.HorizontalPodAutoscaler) { obj.Spec = old.Spec },
			Validate: validateAutoscalerV1Status,
		}},
		Columns:  columns(upgrade),
		StoredAs: stored, To: toV2, From: fromV2,
	})
}
