package autoscaling

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"

	"github.com/septet-io/septet/resource"
)

// HorizontalPodAutoscalersV1 is the older version, which knows one metric, CPU utilization; the others travel in annotations.
func HorizontalPodAutoscalersV1(stored *resource.Kind) *resource.Kind {
	return resource.Define(resource.Definition[*autoscalingv1.HorizontalPodAutoscaler]{
		Group: "autoscaling", Version: "v1", Kind: "HorizontalPodAutoscaler", Plural: "horizontalpodautoscalers",
		Short: []string{"hpa"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Views:    []resource.View[*autoscalingv1.HorizontalPodAutoscaler]{{Name: "status"}},
		StoredAs: stored, To: toV2, From: fromV2,
	})
}
