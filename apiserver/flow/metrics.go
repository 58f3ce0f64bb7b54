package flow

import (
	"github.com/prometheus/client_golang/prometheus"
)

const prefix = "apiserver_flowcontrol_"

var (
	ofLevel = []string{"priority_level"}
	ofFlow  = []string{"priority_level", "flow_schema"}

	fairFraction = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "seat_fair_frac", Help: "The part of what it wants that each priority level gets, where no bound keeps it from that.",
	})
	waitSeconds    = describe("request_wait_duration_seconds", "Time that requests waited, by whether they ran after it.", "priority_level", "flow_schema", "execute")
	runSeconds     = describe("request_execution_seconds", "Time from the beginning of a request to its end, for a watch to the end of its initial events.", "priority_level", "flow_schema", "type")
	estimatedSeats = describe("work_estimated_seats", "The most seats that a request was expected to take.", ofFlow...)
	queueLengths   = describe("request_queue_length_after_enqueue", "Length of the queue that a request was put into.", ofFlow...)

	secondBounds   = []float64{0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30}
	estimateBounds = []float64{1, 2, 4, 8, 16, 32, 64, 100}
	lengthBounds   = []float64{0, 10, 25, 50, 100, 250, 500, 1000}
)

// Metrics are this package's that do not belong to one Fairness, under upstream's names.
var Metrics = []prometheus.Collector{fairFraction}

// flowCounts are the counts of one FlowSchema in one level, guarded by the level's lock.
type flowCounts struct {
	name                                         string
	waiting, waitingSeats, running, runningSeats int
	dispatched                                   int64
	rejected                                     map[string]int64 // by reason

	waited, waitedInVain, ran, watched, seats, queueLength histogram
}

func newFlowCounts(schema string) *flowCounts {
	seconds := histogram{bounds: secondBounds}
	return &flowCounts{
		name: schema, rejected: map[string]int64{}, waited: seconds, waitedInVain: seconds, ran: seconds, watched: seconds,
		seats: histogram{bounds: estimateBounds}, queueLength: histogram{bounds: lengthBounds},
	}
}

func (c *flowCounts) reject(reason string) { c.rejected[reason]++ }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// What is read from the levels when somebody asks, so that requests need not keep it up to date.
var (
	rejectedDesc   = describe("rejected_requests_total", "Requests that were refused.", "priority_level", "flow_schema", "reason")
	dispatchedDesc = describe("dispatched_requests_total", "Requests that ran.", ofFlow...)
	inQueueDesc    = describe("current_inqueue_requests", "Requests that wait.", ofFlow...)
	inQueueSeats   = describe("current_inqueue_seats", "Seats that waiting requests want.", ofFlow...)
	executingDesc  = describe("current_executing_requests", "Requests that run; watches until their initial events are out.", ofFlow...)
	executingSeats = describe("current_executing_seats", "Seats of requests that run.", ofFlow...)
	inUseDesc      = describe("request_concurrency_in_use", "Seats of requests that run.", ofFlow...)
	stuckDesc      = describe("request_dispatch_no_accommodation_total", "How often the next request was too wide for the free seats.", ofLevel...)
	virtualDesc    = describe("current_r", "Virtual time.", ofLevel...)

	// levelGauges are one number a level.
	levelGauges = []struct {
		desc *prometheus.Desc
		of   func(l *level) float64
	}{
		{describe("request_concurrency_limit", "Seats of a level by its shares.", ofLevel...), func(l *level) float64 { return float64(l.nominal) }},
		{describe("nominal_limit_seats", "Seats of a level by its shares.", ofLevel...), func(l *level) float64 { return float64(l.nominal) }},
		{describe("lower_limit_seats", "The least seats of a level.", ofLevel...), func(l *level) float64 { return float64(l.least) }},
		{describe("upper_limit_seats", "The most seats of a level.", ofLevel...), func(l *level) float64 { return float64(l.most) }},
		{describe("current_limit_seats", "Seats of a level now.", ofLevel...), func(l *level) float64 { return float64(l.current) }},
		{describe("demand_seats_high_watermark", "The most seats wanted in the last period.", ofLevel...), func(l *level) float64 { return l.seen.Highest }},
		{describe("demand_seats_average", "Seats wanted in the last period, on average.", ofLevel...), func(l *level) float64 { return l.seen.Average }},
		{describe("demand_seats_stdev", "Standard deviation of seats wanted in the last period.", ofLevel...), func(l *level) float64 { return l.seen.Deviation }},
		{describe("demand_seats_smoothed", "Seats wanted, with what was before slowly forgotten.", ofLevel...), func(l *level) float64 { return l.smoothed }},
		{describe("target_seats", "Seats that a level asks for.", ofLevel...), (*level).target},
	}
)

// target is what adjust takes as the level's wish; mu is held.
func (l *level) target() float64 {
	c := claimant{limits: l.limits, exempt: l.exempt(), highest: int(l.seen.Highest)}
	return max(float64(c.floor()), l.smoothed)
}

// Describe is prometheus.Collector.
func (f *Fairness) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{rejectedDesc, dispatchedDesc, inQueueDesc, inQueueSeats, executingDesc, executingSeats, inUseDesc, stuckDesc, virtualDesc, waitSeconds, runSeconds, estimatedSeats, queueLengths} {
		out <- desc
	}
	for _, one := range levelGauges {
		out <- one.desc
	}
	for _, desc := range timingDescs {
		out <- desc
	}
}

// Collect is prometheus.Collector.
func (f *Fairness) Collect(out chan<- prometheus.Metric) {
	for _, l := range f.sorted() {
		l.mu.Lock()
		l.collect(out)
		l.mu.Unlock()
	}
}

// collect sends the level's numbers; mu is held.
func (l *level) collect(out chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{l.name}, labels...)...)
	}
	counter := func(desc *prometheus.Desc, value int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), append([]string{l.name}, labels...)...)
	}
	for _, one := range levelGauges {
		gauge(one.desc, one.of(l))
	}
	counter(stuckDesc, l.set.Stuck)
	gauge(virtualDesc, l.set.Virtual())
	for _, flow := range l.flows {
		counter(dispatchedDesc, flow.dispatched, flow.name)
		gauge(inQueueDesc, float64(flow.waiting), flow.name)
		gauge(inQueueSeats, float64(flow.waitingSeats), flow.name)
		gauge(executingDesc, float64(flow.running), flow.name)
		gauge(executingSeats, float64(flow.runningSeats), flow.name)
		gauge(inUseDesc, float64(flow.runningSeats), flow.name)
		out <- flow.waited.metric(waitSeconds, l.name, flow.name, "true")
		out <- flow.waitedInVain.metric(waitSeconds, l.name, flow.name, "false")
		out <- flow.ran.metric(runSeconds, l.name, flow.name, "regular")
		out <- flow.watched.metric(runSeconds, l.name, flow.name, "watch")
		out <- flow.seats.metric(estimatedSeats, l.name, flow.name)
		out <- flow.queueLength.metric(queueLengths, l.name, flow.name)
		for reason, n := range flow.rejected {
			counter(rejectedDesc, n, flow.name, reason)
		}
	}
	l.timings.collect(l, out)
}
