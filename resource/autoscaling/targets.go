package autoscaling

import (
	"fmt"
	"strconv"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
)

const unknown = "<unknown>"

// shownMetrics is how many metrics fit into a column.
const shownMetrics = 2

// targets shows each metric as "now/wanted".
func targets(hpa *autoscalingv2.HorizontalPodAutoscaler) string {
	specs, current := hpa.Spec.Metrics, hpa.Status.CurrentMetrics
	if len(specs) == 0 {
		return "<none>"
	}
	var list []string
	for i, spec := range specs {
		var now autoscalingv2.MetricStatus
		if i < len(current) {
			now = current[i]
		}
		list = append(list, target(spec, now))
	}
	if more := len(list) - shownMetrics; more > 0 {
		return strings.Join(list[:shownMetrics], ", ") + " + " + strconv.Itoa(more) + " more..."
	}
	return strings.Join(list, ", ")
}

func target(spec autoscalingv2.MetricSpec, now autoscalingv2.MetricStatus) string {
	var value autoscalingv2.MetricValueStatus
	switch {
	case spec.External != nil:
		if now.External != nil {
			value = now.External.Current
		}
		return amounts(value, spec.External.Target)
	case spec.Pods != nil:
		if now.Pods != nil {
			value = now.Pods.Current
		}
		return text(value.AverageValue) + "/" + text(spec.Pods.Target.AverageValue)
	case spec.Object != nil:
		if now.Object != nil {
			value = now.Object.Current
		}
		return amounts(value, spec.Object.Target)
	case spec.Resource != nil:
		if now.Resource != nil {
			value = now.Resource.Current
		}
		return string(spec.Resource.Name) + ": " + share(value, spec.Resource.Target)
	case spec.ContainerResource != nil:
		if now.ContainerResource != nil {
			value = now.ContainerResource.Current
		}
		return string(spec.ContainerResource.Name) + ": " + share(value, spec.ContainerResource.Target)
	}
	return "<unknown type>"
}

func amounts(now autoscalingv2.MetricValueStatus, wanted autoscalingv2.MetricTarget) string {
	if wanted.AverageValue != nil {
		return text(now.AverageValue) + "/" + text(wanted.AverageValue) + " (avg)"
	}
	return text(now.Value) + "/" + text(wanted.Value)
}

func share(now autoscalingv2.MetricValueStatus, wanted autoscalingv2.MetricTarget) string {
	if wanted.AverageValue != nil {
		return text(now.AverageValue) + "/" + text(wanted.AverageValue)
	}
	return percent(now.AverageUtilization, unknown) + "/" + percent(wanted.AverageUtilization, "<auto>")
}

func text(q *resource.Quantity) string {
	if q == nil {
		return unknown
	}
	return q.String()
}

func percent(p *int32, otherwise string) string {
	if p == nil {
		return otherwise
	}
	return fmt.Sprintf("%d%%", *p)
}
