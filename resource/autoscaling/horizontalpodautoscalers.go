package autoscaling

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/septet-io/septet/resource"
)

// HorizontalPodAutoscalers is all that the server knows about HorizontalPodAutoscalers.
func HorizontalPodAutoscalers() *resource.Kind {
	return resource.Define(resource.Definition[*autoscalingv2.HorizontalPodAutoscaler]{
		Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler", Plural: "horizontalpodautoscalers",
		Short: []string{"hpa"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Views: []resource.View[*autoscalingv2.HorizontalPodAutoscaler]{{Name: "status"}},
	})
}
