package reconcile

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics measures the queues of a component's controllers under upstream's names (workqueue_*). It is a
// prometheus.Collector. What changes with time alone (depth, work in progress) is computed when it
// is collected, since client-go's own way wakes every queue twice a second. A nil Metrics measures nothing.
type Metrics struct {
	adds, retries  *prometheus.CounterVec
	waited, worked *prometheus.HistogramVec

	mu    sync.Mutex
	loops map[*loop]struct{}
}

// The help texts and buckets are part of upstream's stable metrics.
var (
	depthDesc = prometheus.NewDesc("workqueue_depth",
		"Current depth of workqueue", []string{"name"}, nil)
	unfinishedDesc = prometheus.NewDesc("workqueue_unfinished_work_seconds",
		"How many seconds of work has done that is in progress and hasn't been observed by work_duration. "+
			"Large values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases.",
		[]string{"name"}, nil)
	longestDesc = prometheus.NewDesc("workqueue_longest_running_processor_seconds",
		"How many seconds has the longest running processor for workqueue been running.", []string{"name"}, nil)
)

// NewMetrics returns Metrics that no loop feeds yet; register it with the component's registry.
func NewMetrics() *Metrics {
	buckets := prometheus.ExponentialBuckets(10e-9, 10, 10)
	label := []string{"name"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: "workqueue", Name: name, Help: help}, label)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Subsystem: "workqueue", Name: name, Help: help, Buckets: buckets}, label)
	}
	return &Metrics{
		adds:    counter("adds_total", "Total number of adds handled by workqueue"),
		retries: counter("retries_total", "Total number of retries handled by workqueue"),
		waited:  histogram("queue_duration_seconds", "How long in seconds an item stays in workqueue before being requested."),
		worked:  histogram("work_duration_seconds", "How long in seconds processing an item from workqueue takes."),
		loops:   map[*loop]struct{}{},
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.adds, m.retries, m.waited, m.worked} {
		c.Describe(out)
	}
	out <- depthDesc
	out <- unfinishedDesc
	out <- longestDesc
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.adds, m.retries, m.waited, m.worked} {
		c.Collect(out)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.loops {
		depth, unfinished, longest := l.state(time.Now())
		name := l.controller.queue()
		out <- prometheus.MustNewConstMetric(depthDesc, prometheus.GaugeValue, depth, name)
		out <- prometheus.MustNewConstMetric(unfinishedDesc, prometheus.GaugeValue, unfinished, name)
		out <- prometheus.MustNewConstMetric(longestDesc, prometheus.GaugeValue, longest, name)
	}
}

// state returns the number of waiting keys, and the total and the longest time in seconds that running keys have taken so far.
func (l *loop) state(now time.Time) (depth, unfinished, longest float64) {
	depth = float64(l.queue.Len())
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, began := range l.running {
		age := now.Sub(began).Seconds()
		unfinished += age
		longest = max(longest, age)
	}
	return depth, unfinished, longest
}

func (m *Metrics) add(l *loop) {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.loops[l] = struct{}{}
	m.mu.Unlock()
}

func (m *Metrics) remove(l *loop) {
	if m == nil {
		return
	}
	m.mu.Lock()
	delete(m.loops, l)
	m.mu.Unlock()
}

// measures are the counters of one queue; nil counts nothing.
type measures struct {
	adds, retries       prometheus.Counter
	waitTimes, workTime prometheus.Observer
}

// of returns the measures of the queue of that name.
func (m *Metrics) of(name string) *measures {
	if m == nil {
		return nil
	}
	return &measures{
		adds: m.adds.WithLabelValues(name), retries: m.retries.WithLabelValues(name),
		waitTimes: m.waited.WithLabelValues(name), workTime: m.worked.WithLabelValues(name),
	}
}

func (m *measures) added() {
	if m != nil {
		m.adds.Inc()
	}
}

func (m *measures) retried() {
	if m != nil {
		m.retries.Inc()
	}
}

func (m *measures) waited(d time.Duration) {
	if m != nil {
		m.waitTimes.Observe(d.Seconds())
	}
}

func (m *measures) worked(d time.Duration) {
	if m != nil {
		m.workTime.Observe(d.Seconds())
	}
}
