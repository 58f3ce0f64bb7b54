package scheduler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/profile"
	"github.com/septet-io/septet/scheduler/queue"
)

// metrics are upstream's, under upstream's names. All that a hot path counts is looked up once.
type metrics struct {
	attempts       *prometheus.CounterVec   // profile, result
	attemptTime    *prometheus.HistogramVec // profile, result
	podAttempts    prometheus.Histogram
	sli            *prometheus.HistogramVec // attempts
	incoming       *prometheus.CounterVec   // event, queue
	pending        *prometheus.GaugeVec     // queue
	extension      *prometheus.HistogramVec // extension_point, profile, status
	preemptions    prometheus.Counter
	victims        prometheus.Histogram
	goroutines     *prometheus.GaugeVec     // operation
	permitWait     *prometheus.HistogramVec // result
	evaluations    *prometheus.CounterVec   // extension_point, plugin, profile
	unschedulable  *prometheus.GaugeVec     // plugin, profile
	binding        prometheus.Gauge
	incomingByName map[incomingKey]prometheus.Counter
	byProfile      map[string]*profileMetrics
}

type incomingKey struct {
	place queue.Place
	event string
}

type profileMetrics struct {
	scheduled, unschedulable, failed             prometheus.Counter
	scheduledTime, unschedulableTime, failedTime prometheus.Observer
	filters, scores                              []prometheus.Counter // by place
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: "scheduler", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Subsystem: "scheduler", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Subsystem: "scheduler", Name: name, Help: help, Buckets: buckets}, labels)
	}
	doubling := prometheus.ExponentialBuckets
	m := &metrics{
		attempts:    counter("schedule_attempts_total", "Number of attempts to schedule pods, by the result.", "profile", "result"),
		attemptTime: histogram("scheduling_attempt_duration_seconds", "Scheduling attempt latency in seconds (algorithm and binding).", doubling(0.001, 2, 15), "profile", "result"),
		podAttempts: prometheus.NewHistogram(prometheus.HistogramOpts{Subsystem: "scheduler", Name: "pod_scheduling_attempts",
			Help: "Number of attempts to successfully schedule a pod.", Buckets: doubling(1, 2, 5)}),
		sli:      histogram("pod_scheduling_sli_duration_seconds", "Latency from the time a pod enters the queue, over all attempts.", doubling(0.01, 2, 20), "attempts"),
		incoming: counter("queue_incoming_pods_total", "Number of pods added to scheduling queues by event and queue type.", "event", "queue"),
		pending:  gauge("pending_pods", "Number of pending pods, by the queue type.", "queue"),
		extension: histogram("framework_extension_point_duration_seconds", "Latency for running all plugins of an extension point.",
			doubling(0.0001, 2, 12), "extension_point", "profile", "status"),
		preemptions: prometheus.NewCounter(prometheus.CounterOpts{Subsystem: "scheduler", Name: "preemption_attempts_total", Help: "Preemption attempts so far."}),
		victims: prometheus.NewHistogram(prometheus.HistogramOpts{Subsystem: "scheduler", Name: "preemption_victims",
			Help: "Number of selected preemption victims.", Buckets: doubling(1, 2, 7)}),
		goroutines:     gauge("goroutines", "Number of running goroutines split by the work they do such as binding.", "operation"),
		permitWait:     histogram("permit_wait_duration_seconds", "Duration of waiting on permit.", doubling(0.001, 2, 15), "result"),
		evaluations:    counter("plugin_evaluation_total", "Attempts to schedule pods by each plugin and extension point.", "extension_point", "plugin", "profile"),
		unschedulable:  gauge("unschedulable_pods", "Unschedulable pods broken down by the plugins that refused them.", "plugin", "profile"),
		incomingByName: map[incomingKey]prometheus.Counter{},
		byProfile:      map[string]*profileMetrics{},
	}
	m.binding = m.goroutines.WithLabelValues("binding")
	if registerer != nil {
		for _, c := range []prometheus.Collector{m.attempts, m.attemptTime, m.podAttempts, m.sli, m.incoming, m.pending, m.extension,
			m.preemptions, m.victims, m.goroutines, m.permitWait, m.evaluations, m.unschedulable} {
			registerer.MustRegister(c)
		}
	}
	return m
}

func (m *metrics) profile(of *profile.Profile) *profileMetrics {
	name := of.Name
	p := m.byProfile[name]
	if p == nil {
		p = &profileMetrics{
			scheduled:         m.attempts.WithLabelValues(name, "scheduled"),
			unschedulable:     m.attempts.WithLabelValues(name, "unschedulable"),
			failed:            m.attempts.WithLabelValues(name, "error"),
			scheduledTime:     m.attemptTime.WithLabelValues(name, "scheduled"),
			unschedulableTime: m.attemptTime.WithLabelValues(name, "unschedulable"),
			failedTime:        m.attemptTime.WithLabelValues(name, "error"),
		}
		for i := range of.Filters {
			p.filters = append(p.filters, m.evaluations.WithLabelValues("Filter", of.Filters[i].Name, name))
		}
		for i := range of.Scores {
			p.scores = append(p.scores, m.evaluations.WithLabelValues("Score", of.Scores[i].Name, name))
		}
		m.byProfile[name] = p
	}
	return p
}

// decided counts which plugins had a say, and how long they took if that was measured.
func (m *metrics) decided(of *profile.Profile, r *decide.Result) {
	p := m.profile(of)
	for _, place := range r.Filters {
		p.filters[place].Inc()
	}
	if r.Row >= 0 {
		for _, place := range r.Scores {
			p.scores[place].Inc()
		}
	}
	if r.Filtering > 0 {
		m.took("Filter", of.Name, r.Failure == nil, r.Filtering)
	}
	if r.Scoring > 0 {
		m.took("Score", of.Name, true, r.Scoring)
	}
}

// took observes one extension point.
func (m *metrics) took(point, profile string, ok bool, d time.Duration) {
	status := "Success"
	if !ok {
		status = "Unschedulable"
	}
	m.extension.WithLabelValues(point, profile, status).Observe(d.Seconds())
}

// refusal counts pods that wait because of a plugin.
func (m *metrics) refusal(profile, plugin string, n int) {
	m.unschedulable.WithLabelValues(plugin, profile).Add(float64(n))
}

// moved counts a pod that enters a queue.
func (m *metrics) moved(place queue.Place, event string) {
	key := incomingKey{place, event}
	c := m.incomingByName[key]
	if c == nil {
		c = m.incoming.WithLabelValues(event, place.String())
		m.incomingByName[key] = c
	}
	c.Inc()
}

// waiting publishes the lengths of the queues.
func (m *metrics) waiting(q *queue.Queue) {
	for _, p := range []queue.Place{queue.Active, queue.Backoff, queue.Unschedulable, queue.Gated} {
		m.pending.WithLabelValues(p.String()).Set(float64(q.Len(p)))
	}
}
