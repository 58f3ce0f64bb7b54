package autoscaling

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

// A v1 client sees what it knows and carries the rest along: what it writes back is what was there.
func TestNothingIsLostThroughV1(t *testing.T) {
	t.Parallel()
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			MinReplicas: ptr.To[int32](2), MaxReplicas: 9,
			Metrics: []autoscalingv2.MetricSpec{
				cpuMetric(ptr.To[int32](70)),
				{Type: "Pods", Pods: &autoscalingv2.PodsMetricSource{
					Metric: autoscalingv2.MetricIdentifier{Name: "hits"},
					Target: autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: ptr.To(apiresource.MustParse("5"))},
				}},
				{Type: "External", External: &autoscalingv2.ExternalMetricSource{
					Metric: autoscalingv2.MetricIdentifier{Name: "queue"},
					Target: autoscalingv2.MetricTarget{Type: "Value", Value: ptr.To(apiresource.MustParse("10"))},
				}},
			},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](60)}},
		},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{
			Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: "AbleToScale", Status: "True"}},
			CurrentMetrics: []autoscalingv2.MetricStatus{{Type: "Resource", Resource: &autoscalingv2.ResourceMetricStatus{
				Name: corev1.ResourceCPU, Current: autoscalingv2.MetricValueStatus{AverageUtilization: ptr.To[int32](33), AverageValue: ptr.To(apiresource.MustParse("330m"))},
			}}},
		},
	}
	hpa.APIVersion, hpa.Kind = "autoscaling/v2", "HorizontalPodAutoscaler"
	defaultAutoscaler(hpa)
	before := hpa.DeepCopy()
	old, err := downgrade(hpa)
	if err != nil {
		t.Fatal(err)
	}
	if *old.Spec.TargetCPUUtilizationPercentage != 70 || *old.Status.CurrentCPUUtilizationPercentage != 33 {
		t.Errorf("v1 sees %+v %+v", old.Spec, old.Status)
	}
	if diff := cmp.Diff(before, upgrade(old)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	if diff := cmp.Diff(before, hpa); diff != "" {
		t.Errorf("the stored object was changed:\n%s", diff)
	}
}

func TestV1WithoutTargetScalesByCPU(t *testing.T) {
	t.Parallel()
	old := &autoscalingv1.HorizontalPodAutoscaler{Spec: autoscalingv1.HorizontalPodAutoscalerSpec{MaxReplicas: 3}}
	hpa := upgrade(old)
	if got := targets(hpa); got != "cpu: <unknown>/80%" {
		t.Errorf("targets: %s", got)
	}
	if old.Spec.MinReplicas != nil {
		t.Error("the v1 object was changed")
	}
}
