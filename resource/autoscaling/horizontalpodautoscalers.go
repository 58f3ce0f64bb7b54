package autoscaling

import (
	"strconv"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// HorizontalPodAutoscalers is all that the server knows about HorizontalPodAutoscalers.
func HorizontalPodAutoscalers() *resource.Kind {
	return resource.Define(resource.Definition[*autoscalingv2.HorizontalPodAutoscaler]{
		Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler", Plural: "horizontalpodautoscalers",
		Short: []string{"hpa"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Default:  defaultAutoscaler,
		Validate: validateAutoscaler, ValidateUpdate: validateAutoscalerUpdate,
		Views: []resource.View[*autoscalingv2.HorizontalPodAutoscaler]{{
			Name: "status", Prepare: func(_ *resource.Request, obj, old *autoscalingv2.HorizontalPodAutoscaler) { obj.Spec = old.Spec },
			Validate: validateAutoscalerStatus,
		}},
		Columns: columns(func(h *autoscalingv2.HorizontalPodAutoscaler) *autoscalingv2.HorizontalPodAutoscaler { return h }),
	})
}

// columns are those of every version: of turns an object into a v2 one.
func columns[T resource.Object](of func(T) *autoscalingv2.HorizontalPodAutoscaler) []resource.Column[T] {
	doc, statusDoc := autoscalingv2.HorizontalPodAutoscalerSpec{}.SwaggerDoc(), autoscalingv2.HorizontalPodAutoscalerStatus{}.SwaggerDoc()
	return []resource.Column[T]{
		resource.Name[T](),
		resource.Text("Reference", doc["scaleTargetRef"], func(obj T) string {
			ref := of(obj).Spec.ScaleTargetRef
			return ref.Kind + "/" + ref.Name
		}),
		resource.Text("Targets", doc["metrics"], func(obj T) string { return targets(of(obj)) }),
		{Name: "MinPods", Description: doc["minReplicas"], Value: func(obj T) any {
			if least := of(obj).Spec.MinReplicas; least != nil {
				return strconv.Itoa(int(*least))
			}
			return "<unset>"
		}},
		{Name: "MaxPods", Description: doc["maxReplicas"], Value: func(obj T) any { return int64(of(obj).Spec.MaxReplicas) }}, // a number, called a string
		resource.Number("Replicas", statusDoc["currentReplicas"], func(obj T) int64 { return int64(of(obj).Status.CurrentReplicas) }),
		resource.Age[T](),
	}
}

// defaultAutoscaler: at least one pod, and without metrics four fifths of the CPU that pods ask for.
func defaultAutoscaler(hpa *autoscalingv2.HorizontalPodAutoscaler) {
	if hpa.Spec.MinReplicas == nil {
		hpa.Spec.MinReplicas = ptr.To[int32](1)
	}
	if len(hpa.Spec.Metrics) == 0 {
		hpa.Spec.Metrics = []autoscalingv2.MetricSpec{cpuMetric(ptr.To[int32](80))}
	}
	if behavior := hpa.Spec.Behavior; behavior != nil {
		behavior.ScaleUp = defaultRules(behavior.ScaleUp, scaleUp())
		behavior.ScaleDown = defaultRules(behavior.ScaleDown, scaleDown())
	}
}

// scaleUp is at once, by the larger of doubling and four pods every fifteen seconds.
func scaleUp() *autoscalingv2.HPAScalingRules {
	return &autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: ptr.To[int32](0),
		SelectPolicy:               ptr.To(autoscalingv2.MaxChangePolicySelect),
		Policies: []autoscalingv2.HPAScalingPolicy{
			{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15},
			{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
		},
	}
}

// scaleDown may take all pods away; its window is the controller's own.
func scaleDown() *autoscalingv2.HPAScalingRules {
	return &autoscalingv2.HPAScalingRules{
		SelectPolicy: ptr.To(autoscalingv2.MaxChangePolicySelect),
		Policies:     []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}},
	}
}

func defaultRules(given, rules *autoscalingv2.HPAScalingRules) *autoscalingv2.HPAScalingRules {
	if given == nil {
		return rules
	}
	if given.StabilizationWindowSeconds != nil {
		rules.StabilizationWindowSeconds = given.StabilizationWindowSeconds
	}
	if given.SelectPolicy != nil {
		rules.SelectPolicy = given.SelectPolicy
	}
	if given.Policies != nil {
		rules.Policies = given.Policies
	}
	rules.Tolerance = given.Tolerance
	return rules
}
