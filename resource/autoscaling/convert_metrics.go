package autoscaling

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
)

// In v1 a metric says its target by which field is set, in v2 by a target with a type.

func newMetric(m autoscalingv1.MetricSpec) autoscalingv2.MetricSpec {
	out := autoscalingv2.MetricSpec{Type: autoscalingv2.MetricSourceType(m.Type)}
	if o := m.Object; o != nil {
		target := autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: &o.TargetValue, AverageValue: o.AverageValue}
		if o.AverageValue != nil {
			target.Type = autoscalingv2.AverageValueMetricType
			target.Value = nil
		}
		out.Object = &autoscalingv2.ObjectMetricSource{
			DescribedObject: autoscalingv2.CrossVersionObjectReference(o.Target), Target: target,
			Metric: autoscalingv2.MetricIdentifier{Name: o.MetricName, Selector: o.Selector},
		}
	}
	if p := m.Pods; p != nil {
		out.Pods = &autoscalingv2.PodsMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: p.MetricName, Selector: p.Selector},
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &p.TargetAverageValue},
		}
	}
	if r := m.Resource; r != nil {
		out.Resource = &autoscalingv2.ResourceMetricSource{Name: r.Name, Target: podTarget(r.TargetAverageUtilization, r.TargetAverageValue)}
	}
	if c := m.ContainerResource; c != nil {
		out.ContainerResource = &autoscalingv2.ContainerResourceMetricSource{
			Name: c.Name, Container: c.Container, Target: podTarget(c.TargetAverageUtilization, c.TargetAverageValue),
		}
	}
	if e := m.External; e != nil {
		target := autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: e.TargetValue, AverageValue: e.TargetAverageValue}
		if e.TargetAverageValue != nil {
			target.Type = autoscalingv2.AverageValueMetricType
		}
		out.External = &autoscalingv2.ExternalMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: e.MetricName, Selector: e.MetricSelector}, Target: target,
		}
	}
	return out
}

func podTarget(utilization *int32, value *resource.Quantity) autoscalingv2.MetricTarget {
	if utilization != nil {
		return autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: utilization, AverageValue: value}
	}
	return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: value}
}

func oldMetrics(metrics []autoscalingv2.MetricSpec) []autoscalingv1.MetricSpec {
	out := make([]autoscalingv1.MetricSpec, len(metrics))
	for i, m := range metrics {
		out[i].Type = autoscalingv1.MetricSourceType(m.Type)
		if o := m.Object; o != nil {
			out[i].Object = &autoscalingv1.ObjectMetricSource{
				Target: autoscalingv1.CrossVersionObjectReference(o.DescribedObject), MetricName: o.Metric.Name,
				Selector: o.Metric.Selector, TargetValue: quantity(o.Target.Value), AverageValue: o.Target.AverageValue,
			}
		}
		if p := m.Pods; p != nil {
			out[i].Pods = &autoscalingv1.PodsMetricSource{
				MetricName: p.Metric.Name, Selector: p.Metric.Selector, TargetAverageValue: quantity(p.Target.AverageValue),
			}
		}
		if r := m.Resource; r != nil {
			out[i].Resource = &autoscalingv1.ResourceMetricSource{
				Name: r.Name, TargetAverageUtilization: r.Target.AverageUtilization, TargetAverageValue: r.Target.AverageValue,
			}
		}
		if c := m.ContainerResource; c != nil {
			out[i].ContainerResource = &autoscalingv1.ContainerResourceMetricSource{
				Name: c.Name, Container: c.Container,
				TargetAverageUtilization: c.Target.AverageUtilization, TargetAverageValue: c.Target.AverageValue,
			}
		}
		if e := m.External; e != nil {
			out[i].External = &autoscalingv1.ExternalMetricSource{
				MetricName: e.Metric.Name, MetricSelector: e.Metric.Selector,
				TargetValue: e.Target.Value, TargetAverageValue: e.Target.AverageValue,
			}
		}
	}
	return out
}

func newCurrent(m autoscalingv1.MetricStatus) autoscalingv2.MetricStatus {
	out := autoscalingv2.MetricStatus{Type: autoscalingv2.MetricSourceType(m.Type)}
	if o := m.Object; o != nil {
		out.Object = &autoscalingv2.ObjectMetricStatus{
			DescribedObject: autoscalingv2.CrossVersionObjectReference(o.Target),
			Metric:          autoscalingv2.MetricIdentifier{Name: o.MetricName, Selector: o.Selector},
			Current:         autoscalingv2.MetricValueStatus{Value: &o.CurrentValue, AverageValue: o.AverageValue},
		}
	}
	if p := m.Pods; p != nil {
		out.Pods = &autoscalingv2.PodsMetricStatus{
			Metric:  autoscalingv2.MetricIdentifier{Name: p.MetricName, Selector: p.Selector},
			Current: autoscalingv2.MetricValueStatus{AverageValue: &p.CurrentAverageValue},
		}
	}
	if r := m.Resource; r != nil {
		out.Resource = &autoscalingv2.ResourceMetricStatus{Name: r.Name, Current: autoscalingv2.MetricValueStatus{
			AverageValue: &r.CurrentAverageValue, AverageUtilization: r.CurrentAverageUtilization,
		}}
	}
	if c := m.ContainerResource; c != nil {
		out.ContainerResource = &autoscalingv2.ContainerResourceMetricStatus{
			Name: c.Name, Container: c.Container, Current: autoscalingv2.MetricValueStatus{
				AverageValue: &c.CurrentAverageValue, AverageUtilization: c.CurrentAverageUtilization,
			},
		}
	}
	if e := m.External; e != nil {
		out.External = &autoscalingv2.ExternalMetricStatus{
			Metric:  autoscalingv2.MetricIdentifier{Name: e.MetricName, Selector: e.MetricSelector},
			Current: autoscalingv2.MetricValueStatus{Value: &e.CurrentValue, AverageValue: e.CurrentAverageValue},
		}
	}
	return out
}

func oldCurrent(metrics []autoscalingv2.MetricStatus) []autoscalingv1.MetricStatus {
	out := make([]autoscalingv1.MetricStatus, len(metrics))
	for i, m := range metrics {
		out[i].Type = autoscalingv1.MetricSourceType(m.Type)
		if o := m.Object; o != nil {
			out[i].Object = &autoscalingv1.ObjectMetricStatus{
				Target: autoscalingv1.CrossVersionObjectReference(o.DescribedObject), MetricName: o.Metric.Name,
				Selector: o.Metric.Selector, CurrentValue: quantity(o.Current.Value), AverageValue: o.Current.AverageValue,
			}
		}
		if p := m.Pods; p != nil {
			out[i].Pods = &autoscalingv1.PodsMetricStatus{
				MetricName: p.Metric.Name, Selector: p.Metric.Selector, CurrentAverageValue: quantity(p.Current.AverageValue),
			}
		}
		if r := m.Resource; r != nil {
			out[i].Resource = &autoscalingv1.ResourceMetricStatus{
				Name: r.Name, CurrentAverageUtilization: r.Current.AverageUtilization, CurrentAverageValue: quantity(r.Current.AverageValue),
			}
		}
		if c := m.ContainerResource; c != nil {
			out[i].ContainerResource = &autoscalingv1.ContainerResourceMetricStatus{
				Name: c.Name, Container: c.Container,
				CurrentAverageUtilization: c.Current.AverageUtilization, CurrentAverageValue: quantity(c.Current.AverageValue),
			}
		}
		if e := m.External; e != nil {
			out[i].External = &autoscalingv1.ExternalMetricStatus{
				MetricName: e.Metric.Name, MetricSelector: e.Metric.Selector,
				CurrentValue: quantity(e.Current.Value), CurrentAverageValue: e.Current.AverageValue,
			}
		}
	}
	return out
}

func quantity(q *resource.Quantity) resource.Quantity {
	if q == nil {
		return resource.Quantity{}
	}
	return q.DeepCopy()
}
