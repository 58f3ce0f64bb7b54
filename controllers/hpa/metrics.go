package hpa

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	custommetrics "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	externalmetrics "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"k8s.io/client-go/rest"
)

// source reads the three metrics APIs, which extension servers behind the API server serve.
type source struct{ rest func() rest.Interface }

// get reads a document of a metrics API.
func (s source) get(ctx context.Context, into any, params map[string]string, path ...string) error {
	request := s.rest().Get().AbsPath(path...)
	for key, value := range params {
		if value != "" {
			request = request.Param(key, value)
		}
	}
	data, err := request.SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// resource returns how much of a resource Pods (or one container of each) use.
func (s source) resource(ctx context.Context, namespace string, selector labels.Selector, name corev1.ResourceName, container string) (map[string]Sample, error) {
	var list metricsv1beta1.PodMetricsList
	err := s.get(ctx, &list, map[string]string{"labelSelector": selector.String()}, "/apis/metrics.k8s.io/v1beta1/namespaces", namespace, "pods")
	if err != nil {
		return nil, fmt.Errorf("unable to fetch metrics from resource metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, fmt.Errorf("no metrics returned from resource metrics API")
	}
	samples := map[string]Sample{}
	for _, pod := range list.Items {
		sum, complete := int64(0), len(pod.Containers) > 0
		for _, c := range pod.Containers {
			if container != "" && c.Name != container {
				continue
			}
			usage, found := c.Usage[name]
			complete = complete && found
			sum += usage.MilliValue()
		}
		if complete {
			samples[pod.Name] = Sample{Milli: sum, Time: pod.Timestamp.Time, Window: pod.Window.Duration}
		}
	}
	return samples, nil
}

// pods returns a custom metric of Pods.
func (s source) pods(ctx context.Context, namespace string, selector labels.Selector, metric autoscalingv2.MetricIdentifier) (map[string]Sample, error) {
	matching, err := asText(metric.Selector)
	if err != nil {
		return nil, err
	}
	var list custommetrics.MetricValueList
	err = s.get(ctx, &list, map[string]string{"labelSelector": selector.String(), "metricLabelSelector": matching},
		"/apis/custom.metrics.k8s.io/v1beta2/namespaces", namespace, "pods", "*", metric.Name)
	if err != nil {
		return nil, fmt.Errorf("unable to fetch metrics from custom metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, fmt.Errorf("no metrics returned from custom metrics API")
	}
	samples := map[string]Sample{}
	for _, item := range list.Items {
		samples[item.DescribedObject.Name] = Sample{Milli: item.Value.MilliValue(), Time: item.Timestamp.Time}
	}
	return samples, nil
}

// object returns a custom metric of one object, in thousandths. resource is the plural name of the object's kind with its group.
func (s source) object(ctx context.Context, namespace, resource, name string, metric autoscalingv2.MetricIdentifier) (int64, error) {
	matching, err := asText(metric.Selector)
	if err != nil {
		return 0, err
	}
	path := []string{"/apis/custom.metrics.k8s.io/v1beta2/namespaces", namespace, resource, name, metric.Name}
	if strings.EqualFold(resource, "namespaces") {
		path = []string{"/apis/custom.metrics.k8s.io/v1beta2/namespaces", namespace, "metrics", metric.Name}
	}
	var list custommetrics.MetricValueList
	if err := s.get(ctx, &list, map[string]string{"metricLabelSelector": matching}, path...); err != nil {
		return 0, fmt.Errorf("unable to fetch metrics from custom metrics API: %w", err)
	}
	if len(list.Items) != 1 {
		return 0, fmt.Errorf("the custom metrics API server returned %d results when we asked for exactly one", len(list.Items))
	}
	return list.Items[0].Value.MilliValue(), nil
}

// external returns the sum of a metric that belongs to no object, in thousandths.
func (s source) external(ctx context.Context, namespace string, metric autoscalingv2.MetricIdentifier) (int64, error) {
	matching, err := asText(metric.Selector)
	if err != nil {
		return 0, err
	}
	var list externalmetrics.ExternalMetricValueList
	err = s.get(ctx, &list, map[string]string{"labelSelector": matching}, "/apis/external.metrics.k8s.io/v1beta1/namespaces", namespace, metric.Name)
	if err != nil {
		return 0, fmt.Errorf("unable to fetch metrics from external metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return 0, fmt.Errorf("no metrics returned from external metrics API")
	}
	sum := int64(0)
	for _, item := range list.Items {
		sum += item.Value.MilliValue()
	}
	return sum, nil
}

// asText returns a selector as a query parameter; nil is everything.
func asText(selector *metav1.LabelSelector) (string, error) {
	if selector == nil {
		return "", nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return "", err
	}
	return parsed.String(), nil
}
