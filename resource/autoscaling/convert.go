package autoscaling

import (
	"encoding/json"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// What v1 has no fields for stands in these annotations of a v1 object, as JSON of v1's own types.
const (
	metricsAnnotation    = "autoscaling.alpha.kubernetes.io/metrics"
	currentAnnotation    = "autoscaling.alpha.kubernetes.io/current-metrics"
	conditionsAnnotation = "autoscaling.alpha.kubernetes.io/conditions"
	behaviorAnnotation   = "autoscaling.alpha.kubernetes.io/behavior"
)

func toV2(objs []resource.Object) ([]resource.Object, error) {
	out := make([]resource.Object, len(objs))
	for i, obj := range objs {
		old, ok := obj.(*autoscalingv1.HorizontalPodAutoscaler)
		if !ok {
			return nil, fmt.Errorf("autoscaling/v1 HorizontalPodAutoscaler expected, not %T", obj)
		}
		out[i] = upgrade(old)
	}
	return out, nil
}

func upgrade(old *autoscalingv1.HorizontalPodAutoscaler) *autoscalingv2.HorizontalPodAutoscaler {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: *old.ObjectMeta.DeepCopy()}
	hpa.APIVersion, hpa.Kind = "autoscaling/v2", "HorizontalPodAutoscaler"
	hpa.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference(old.Spec.ScaleTargetRef)
	hpa.Spec.MinReplicas, hpa.Spec.MaxReplicas = old.Spec.MinReplicas, old.Spec.MaxReplicas
	hpa.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
		ObservedGeneration: old.Status.ObservedGeneration, LastScaleTime: old.Status.LastScaleTime,
		CurrentReplicas: old.Status.CurrentReplicas, DesiredReplicas: old.Status.DesiredReplicas,
	}
	// Upstream takes an annotation that does not parse for one that is absent, and drops it: so do we.
	var metrics []autoscalingv1.MetricSpec
	if take(hpa.Annotations, metricsAnnotation, &metrics) {
		for _, m := range metrics {
			hpa.Spec.Metrics = append(hpa.Spec.Metrics, newMetric(m))
		}
	}
	if target := old.Spec.TargetCPUUtilizationPercentage; target != nil {
		hpa.Spec.Metrics = append([]autoscalingv2.MetricSpec{cpuMetric(target)}, hpa.Spec.Metrics...)
	}
	var current []autoscalingv1.MetricStatus
	if take(hpa.Annotations, currentAnnotation, &current) {
		for _, m := range current {
			hpa.Status.CurrentMetrics = append(hpa.Status.CurrentMetrics, newCurrent(m))
		}
	}
	if now := old.Status.CurrentCPUUtilizationPercentage; now != nil && len(current) == 0 {
		hpa.Status.CurrentMetrics = []autoscalingv2.MetricStatus{{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricStatus{
				Name: corev1.ResourceCPU, Current: autoscalingv2.MetricValueStatus{AverageUtilization: now},
			},
		}}
	}
	take(hpa.Annotations, conditionsAnnotation, &hpa.Status.Conditions)
	var behavior *autoscalingv2.HorizontalPodAutoscalerBehavior
	if take(hpa.Annotations, behaviorAnnotation, &behavior) && behavior != nil {
		hpa.Spec.Behavior = behavior
	}
	if len(hpa.Annotations) == 0 {
		hpa.Annotations = nil
	}
	// What v1 leaves out is filled in as for a v2 object: the CPU target above all.
	defaultAutoscaler(hpa)
	return hpa
}

func cpuMetric(percent *int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{
		Type: autoscalingv2.ResourceMetricSourceType,
		Resource: &autoscalingv2.ResourceMetricSource{
			Name:   corev1.ResourceCPU,
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: percent},
		},
	}
}

func fromV2(objs []resource.Object) ([]resource.Object, error) {
	out := make([]resource.Object, len(objs))
	for i, obj := range objs {
		hpa, ok := obj.(*autoscalingv2.HorizontalPodAutoscaler)
		if !ok {
			return nil, fmt.Errorf("autoscaling/v2 HorizontalPodAutoscaler expected, not %T", obj)
		}
		down, err := downgrade(hpa)
		if err != nil {
			return nil, err
		}
		out[i] = down
	}
	return out, nil
}

func downgrade(hpa *autoscalingv2.HorizontalPodAutoscaler) (*autoscalingv1.HorizontalPodAutoscaler, error) {
	old := &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: *hpa.ObjectMeta.DeepCopy()}
	old.APIVersion, old.Kind = "autoscaling/v1", "HorizontalPodAutoscaler"
	old.Spec.ScaleTargetRef = autoscalingv1.CrossVersionObjectReference(hpa.Spec.ScaleTargetRef)
	old.Spec.MinReplicas, old.Spec.MaxReplicas = hpa.Spec.MinReplicas, hpa.Spec.MaxReplicas
	old.Status = autoscalingv1.HorizontalPodAutoscalerStatus{
		ObservedGeneration: hpa.Status.ObservedGeneration, LastScaleTime: hpa.Status.LastScaleTime,
		CurrentReplicas: hpa.Status.CurrentReplicas, DesiredReplicas: hpa.Status.DesiredReplicas,
	}
	var rest []autoscalingv2.MetricSpec
	for _, m := range hpa.Spec.Metrics {
		if old.Spec.TargetCPUUtilizationPercentage == nil && isCPU(m) {
			old.Spec.TargetCPUUtilizationPercentage = m.Resource.Target.AverageUtilization
			continue
		}
		rest = append(rest, m)
	}
	for _, m := range hpa.Status.CurrentMetrics {
		if m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil && m.Resource.Name == corev1.ResourceCPU {
			old.Status.CurrentCPUUtilizationPercentage = m.Resource.Current.AverageUtilization
		}
	}
	err := put(&old.ObjectMeta, map[string]func() (any, bool){
		metricsAnnotation:    func() (any, bool) { return oldMetrics(rest), len(rest) > 0 },
		currentAnnotation:    func() (any, bool) { return oldCurrent(hpa.Status.CurrentMetrics), len(hpa.Status.CurrentMetrics) > 0 },
		conditionsAnnotation: func() (any, bool) { return hpa.Status.Conditions, len(hpa.Status.Conditions) > 0 },
		behaviorAnnotation:   func() (any, bool) { return hpa.Spec.Behavior, hpa.Spec.Behavior != nil },
	})
	return old, err
}

func isCPU(m autoscalingv2.MetricSpec) bool {
	return m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil &&
		m.Resource.Name == corev1.ResourceCPU && m.Resource.Target.AverageUtilization != nil
}

// take reads an annotation into a value and removes it; false if it is absent or does not parse.
func take(annotations map[string]string, key string, into any) bool {
	text, ok := annotations[key]
	delete(annotations, key)
	return ok && json.Unmarshal([]byte(text), into) == nil
}

func put(meta *metav1.ObjectMeta, values map[string]func() (any, bool)) error {
	for key, value := range values {
		v, wanted := value()
		if !wanted {
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("annotation %s: %w", key, err)
		}
		metav1.SetMetaDataAnnotation(meta, key, string(text))
	}
	return nil
}
