package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// resources are the metrics of /metrics/resource, made from a summary at each scrape: what metrics-server lives on.
type resources struct {
	summary func(context.Context, bool) (*statsapi.Summary, error)
}

// scrapeTimeout bounds one measuring.
const scrapeTimeout = 10 * time.Second

var (
	containerLabels = []string{"container", "namespace", "pod"}
	podLabels       = []string{"namespace", "pod"}

	scrapeError = prometheus.NewDesc("resource_scrape_error", "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise", nil, nil)

	nodeCPU    = prometheus.NewDesc("node_cpu_usage_seconds_total", "[STABLE] Cumulative cpu time consumed by the node in core-seconds", nil, nil)
	nodeMemory = prometheus.NewDesc("node_memory_working_set_bytes", "[STABLE] Current working set of the node in bytes", nil, nil)
	nodeSwap   = prometheus.NewDesc("node_swap_usage_bytes", "[ALPHA] Current swap usage of the node in bytes. Reported only on non-windows systems", nil, nil)

	podCPU    = prometheus.NewDesc("pod_cpu_usage_seconds_total", "[STABLE] Cumulative cpu time consumed by the pod in core-seconds", podLabels, nil)
	podMemory = prometheus.NewDesc("pod_memory_working_set_bytes", "[STABLE] Current working set of the pod in bytes", podLabels, nil)
	podSwap   = prometheus.NewDesc("pod_swap_usage_bytes", "[ALPHA] Current amount of the pod swap usage in bytes. Reported only on non-windows systems", podLabels, nil)

	containerCPU    = prometheus.NewDesc("container_cpu_usage_seconds_total", "[STABLE] Cumulative cpu time consumed by the container in core-seconds", containerLabels, nil)
	containerMemory = prometheus.NewDesc("container_memory_working_set_bytes", "[STABLE] Current working set of the container in bytes", containerLabels, nil)
	containerSwap   = prometheus.NewDesc("container_swap_usage_bytes", "[ALPHA] Current amount of the container swap usage in bytes. Reported only on non-windows systems", containerLabels, nil)
	containerStart  = prometheus.NewDesc("container_start_time_seconds", "[STABLE] Start time of the container since unix epoch in seconds", containerLabels, nil)
)

// Describe is part of prometheus.Collector.
func (resources) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{scrapeError, nodeCPU, nodeMemory, nodeSwap, podCPU, podMemory, podSwap, containerCPU, containerMemory, containerSwap, containerStart} {
		out <- desc
	}
}

// Collect is part of prometheus.Collector.
func (c resources) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	summary, err := c.summary(ctx, true)
	if err != nil {
		klog.ErrorS(err, "Node could not be measured")
		out <- prometheus.MustNewConstMetric(scrapeError, prometheus.GaugeValue, 1)
		return
	}
	node := sink{out: out}
	node.cpu(nodeCPU, summary.Node.CPU)
	node.memory(nodeMemory, summary.Node.Memory)
	node.swap(nodeSwap, summary.Node.Swap)
	for i := range summary.Pods {
		c.pod(out, &summary.Pods[i])
	}
	out <- prometheus.MustNewConstMetric(scrapeError, prometheus.GaugeValue, 0)
}

func (c resources) pod(out chan<- prometheus.Metric, pod *statsapi.PodStats) {
	to := sink{out: out, labels: []string{pod.PodRef.Namespace, pod.PodRef.Name}}
	to.cpu(podCPU, pod.CPU)
	to.memory(podMemory, pod.Memory)
	to.swap(podSwap, pod.Swap)
	for i := range pod.Containers {
		container := &pod.Containers[i]
		to := sink{out: out, labels: []string{container.Name, pod.PodRef.Namespace, pod.PodRef.Name}}
		to.cpu(containerCPU, container.CPU)
		to.memory(containerMemory, container.Memory)
		to.swap(containerSwap, container.Swap)
		if !container.StartTime.IsZero() {
			to.put(containerStart, prometheus.GaugeValue, float64(container.StartTime.UnixNano())/float64(time.Second), metav1.Time{})
		}
	}
}

// sink writes metrics with one set of labels, each with the time that it was measured at.
type sink struct {
	out    chan<- prometheus.Metric
	labels []string
}

func (s sink) put(desc *prometheus.Desc, kind prometheus.ValueType, value float64, at metav1.Time) {
	metric := prometheus.MustNewConstMetric(desc, kind, value, s.labels...)
	if !at.IsZero() {
		metric = prometheus.NewMetricWithTimestamp(at.Time, metric)
	}
	s.out <- metric
}

func (s sink) cpu(desc *prometheus.Desc, stats *statsapi.CPUStats) {
	if stats != nil && stats.UsageCoreNanoSeconds != nil {
		s.put(desc, prometheus.CounterValue, float64(*stats.UsageCoreNanoSeconds)/float64(time.Second), stats.Time)
	}
}

func (s sink) memory(desc *prometheus.Desc, stats *statsapi.MemoryStats) {
	if stats != nil && stats.WorkingSetBytes != nil {
		s.put(desc, prometheus.GaugeValue, float64(*stats.WorkingSetBytes), stats.Time)
	}
}

func (s sink) swap(desc *prometheus.Desc, stats *statsapi.SwapStats) {
	if stats != nil && stats.SwapUsageBytes != nil {
		s.put(desc, prometheus.GaugeValue, float64(*stats.SwapUsageBytes), stats.Time)
	}
}
