package hpa

import (
	"context"
	"fmt"
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/pods"
)

// finding is what one metric says.
type finding struct {
	replicas int32
	name     string // for people: `cpu resource utilization (percentage of request)`
	status   autoscalingv2.MetricStatus
}

// failure is a metric that could not be read: the reason is that of condition and event.
type failure struct {
	reason string
	error
}

// evaluation is one look at an autoscaler's metrics.
type evaluation struct {
	*controller
	autoscaler      *autoscalingv2.HorizontalPodAutoscaler
	selector        labels.Selector
	current, status int32 // replicas wanted and there
	now             time.Time
}

// metric finds out how many replicas one metric asks for.
func (e *evaluation) metric(ctx context.Context, spec autoscalingv2.MetricSpec) (finding, *failure) {
	var found finding
	var err error
	reason := "InvalidMetricSourceType"
	switch spec.Type {
	case autoscalingv2.ResourceMetricSourceType:
		reason = "FailedGetResourceMetric"
		found, err = e.resource(ctx, spec.Resource.Name, "", spec.Resource.Target)
		found.status.Resource = &autoscalingv2.ResourceMetricStatus{Name: spec.Resource.Name, Current: currentOf(found.status)}
	case autoscalingv2.ContainerResourceMetricSourceType:
		reason = "FailedGetContainerResourceMetric"
		found, err = e.resource(ctx, spec.ContainerResource.Name, spec.ContainerResource.Container, spec.ContainerResource.Target)
		found.status.ContainerResource = &autoscalingv2.ContainerResourceMetricStatus{
			Name: spec.ContainerResource.Name, Container: spec.ContainerResource.Container, Current: currentOf(found.status),
		}
		found.status.Resource = nil
	case autoscalingv2.PodsMetricSourceType:
		reason = "FailedGetPodsMetric"
		found, err = e.podsMetric(ctx, spec.Pods)
	case autoscalingv2.ObjectMetricSourceType:
		reason = "FailedGetObjectMetric"
		found, err = e.object(ctx, spec.Object)
	case autoscalingv2.ExternalMetricSourceType:
		reason = "FailedGetExternalMetric"
		found, err = e.external(ctx, spec.External)
	default:
		err = fmt.Errorf("unknown metric source type %q", spec.Type)
	}
	found.status.Type = spec.Type
	if err != nil {
		return finding{}, &failure{reason, err}
	}
	return found, nil
}

// currentOf takes the value that resource left in a status under construction.
func currentOf(status autoscalingv2.MetricStatus) autoscalingv2.MetricValueStatus {
	if status.Resource == nil {
		return autoscalingv2.MetricValueStatus{}
	}
	return status.Resource.Current
}

// load returns a Load of the autoscaler's Pods.
func (e *evaluation) load(samples map[string]Sample) *Load {
	up, down := e.tolerance()
	l := &Load{
		Samples: samples, Current: e.current, Up: up, Down: down, Now: e.now,
		Initialization: e.options.CPUInitializationPeriod, ReadinessDelay: e.options.InitialReadinessDelay,
	}
	for _, pod := range index.InNamespace[*corev1.Pod](e.pods, e.autoscaler.Namespace) {
		if e.selector.Matches(labels.Set(pod.Labels)) {
			l.Pods = append(l.Pods, pod)
		}
	}
	return l
}

// tolerance returns how far a ratio may be above and below 1.
func (e *evaluation) tolerance() (up, down float64) {
	up, down = e.options.Tolerance, e.options.Tolerance
	if b := e.autoscaler.Spec.Behavior; b != nil {
		if b.ScaleUp != nil && b.ScaleUp.Tolerance != nil {
			up = b.ScaleUp.Tolerance.AsApproximateFloat64()
		}
		if b.ScaleDown != nil && b.ScaleDown.Tolerance != nil {
			down = b.ScaleDown.Tolerance.AsApproximateFloat64()
		}
	}
	return up, down
}

func (e *evaluation) resource(ctx context.Context, name corev1.ResourceName, container string, goal autoscalingv2.MetricTarget) (finding, error) {
	samples, err := e.source.resource(ctx, e.autoscaler.Namespace, e.selector, name, container)
	if err != nil {
		return finding{}, fmt.Errorf("failed to get %s utilization: unable to get metrics for resource %s: %w", name, name, err)
	}
	l := e.load(samples)
	l.CPU = name == corev1.ResourceCPU
	label := string(name) + " resource"
	if container != "" {
		label = string(name) + " container resource"
	}
	if goal.AverageValue != nil {
		l.Target = goal.AverageValue.MilliValue()
	} else {
		if goal.AverageUtilization == nil {
			return finding{}, fmt.Errorf("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set")
		}
		l.Target = int64(*goal.AverageUtilization)
		label += " utilization (percentage of request)"
		if l.Requests, err = requests(l.Pods, container, name); err != nil {
			return finding{}, fmt.Errorf("failed to get %s utilization: %w", name, err)
		}
	}
	proposal, err := l.Propose()
	if err != nil {
		return finding{}, fmt.Errorf("failed to get %s usage: %w", name, err)
	}
	value := autoscalingv2.MetricValueStatus{AverageValue: milli(proposal.Average)}
	if l.Requests != nil {
		value.AverageUtilization = &proposal.Utilization
	}
	return finding{proposal.Replicas, label, autoscalingv2.MetricStatus{Resource: &autoscalingv2.ResourceMetricStatus{Current: value}}}, nil
}

func (e *evaluation) podsMetric(ctx context.Context, spec *autoscalingv2.PodsMetricSource) (finding, error) {
	samples, err := e.source.pods(ctx, e.autoscaler.Namespace, e.selector, spec.Metric)
	if err != nil {
		return finding{}, fmt.Errorf("failed to get pods metric value: unable to get metric %s: %w", spec.Metric.Name, err)
	}
	l := e.load(samples)
	if spec.Target.AverageValue == nil {
		return finding{}, fmt.Errorf("invalid pods metric source: no average value target was set")
	}
	l.Target = spec.Target.AverageValue.MilliValue()
	proposal, err := l.Propose()
	if err != nil {
		return finding{}, fmt.Errorf("failed to get pods metric value: %w", err)
	}
	return finding{proposal.Replicas, "pods metric " + spec.Metric.Name, autoscalingv2.MetricStatus{Pods: &autoscalingv2.PodsMetricStatus{
		Metric: spec.Metric, Current: autoscalingv2.MetricValueStatus{AverageValue: milli(proposal.Average)},
	}}}, nil
}

func (e *evaluation) object(ctx context.Context, spec *autoscalingv2.ObjectMetricSource) (finding, error) {
	gvr, err := resourceOf(e.client, spec.DescribedObject.APIVersion, spec.DescribedObject.Kind)
	if err != nil {
		return finding{}, err
	}
	usage, err := e.source.object(ctx, e.autoscaler.Namespace, gvr.GroupResource().String(), spec.DescribedObject.Name, spec.Metric)
	if err != nil {
		return finding{}, fmt.Errorf("failed to get object metric value: unable to get metric %s: %w", spec.Metric.Name, err)
	}
	replicas, value, err := e.total(usage, spec.Target)
	return finding{replicas, "object metric " + spec.Metric.Name, autoscalingv2.MetricStatus{Object: &autoscalingv2.ObjectMetricStatus{
		Metric: spec.Metric, DescribedObject: spec.DescribedObject, Current: value,
	}}}, err
}

func (e *evaluation) external(ctx context.Context, spec *autoscalingv2.ExternalMetricSource) (finding, error) {
	usage, err := e.source.external(ctx, e.autoscaler.Namespace, spec.Metric)
	if err != nil {
		return finding{}, fmt.Errorf("failed to get %s external metric: unable to get external metric %s/%s: %w", spec.Metric.Name, e.autoscaler.Namespace, spec.Metric.Name, err)
	}
	replicas, value, err := e.total(usage, spec.Target)
	return finding{replicas, "external metric " + spec.Metric.Name, autoscalingv2.MetricStatus{External: &autoscalingv2.ExternalMetricStatus{
		Metric: spec.Metric, Current: value,
	}}}, err
}

// total computes replicas from a value that is not that of single Pods.
func (e *evaluation) total(usage int64, goal autoscalingv2.MetricTarget) (int32, autoscalingv2.MetricValueStatus, error) {
	l := e.load(nil)
	switch {
	case goal.AverageValue != nil:
		per := goal.AverageValue.MilliValue()
		replicas := e.status
		if ratio := float64(usage) / (float64(per) * float64(e.status)); !l.tolerates(ratio) {
			replicas = int32(math.Ceil(float64(usage) / float64(per)))
		}
		average := usage
		if e.status > 0 {
			average = int64(math.Ceil(float64(usage) / float64(e.status)))
		}
		return replicas, autoscalingv2.MetricValueStatus{AverageValue: milli(average)}, nil
	case goal.Value != nil:
		ratio := float64(usage) / float64(goal.Value.MilliValue())
		value := autoscalingv2.MetricValueStatus{Value: milli(usage)}
		if e.current == 0 {
			return int32(math.Ceil(ratio)), value, nil
		}
		if l.tolerates(ratio) {
			return e.current, value, nil
		}
		ready := len(pods.Keep(l.Pods, func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning && pods.Ready(p) }))
		if ready == 0 {
			return 0, value, fmt.Errorf("unable to calculate ready pods: no ready pods")
		}
		return int32(math.Ceil(ratio * float64(ready))), value, nil
	}
	return 0, autoscalingv2.MetricValueStatus{}, fmt.Errorf("invalid metric source: neither a value target nor an average value target was set")
}
