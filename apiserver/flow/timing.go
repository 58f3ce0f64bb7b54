package flow

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// histogram counts values by size. It is guarded by its level's lock: less than atomic additions cost.
type histogram struct {
	bounds []float64
	counts [16]uint64 // by bucket; the one behind the last bound is for all above
	sum    float64
}

func (h *histogram) observe(value float64, times uint64) {
	bucket := 0
	for bucket < len(h.bounds) && value > h.bounds[bucket] {
		bucket++
	}
	h.counts[bucket] += times
	h.sum += value * float64(times)
}

func (h *histogram) metric(desc *prometheus.Desc, labels ...string) prometheus.Metric {
	var total uint64
	buckets := make(map[float64]uint64, len(h.bounds))
	for i, bound := range h.bounds {
		total += h.counts[i]
		buckets[bound] = total
	}
	return prometheus.MustNewConstHistogram(desc, total+h.counts[len(h.bounds)], h.sum, buckets, labels...)
}

// timing is a histogram of a number over time: each nanosecond counts as one observation of what the number is then.
type timing struct {
	histogram
	value float64
	since time.Duration
}

// set gives the number a new value.
func (t *timing) set(value float64, now time.Duration) {
	if spent := now - t.since; spent > 0 {
		t.observe(t.value, uint64(spent))
	}
	t.value, t.since = value, now
}

// timings are a level's.
type timings struct{ waiting, executing, seats, demand timing }

var (
	requestBounds = []float64{0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 1}
	seatBounds    = []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1}
	demandBounds  = []float64{0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.7, 2, 2.8, 4, 6}

	requestTiming = describe("priority_level_request_utilization", "Requests that wait or run, as a part of what may, over time.", "phase", "priority_level")
	seatTiming    = prometheus.NewDesc(prefix+"priority_level_seat_utilization", "Seats taken, as a part of all, over time.", ofLevel, prometheus.Labels{"phase": "executing"})
	demandTiming  = describe("demand_seats", "Seats wanted, as a part of all, over time.", ofLevel...)
	timingDescs   = []*prometheus.Desc{requestTiming, seatTiming, demandTiming}
)

// note takes in what the level is like now; the level's lock is held.
func (t *timings) note(l *level, now time.Duration) {
	if t.demand.bounds == nil {
		t.waiting.bounds, t.executing.bounds, t.seats.bounds, t.demand.bounds = requestBounds, requestBounds, seatBounds, demandBounds
	}
	waiting, running, _, seats := l.set.Counts()
	part := 1 / float64(max(l.current, 1))
	t.waiting.set(float64(waiting)/float64(l.places()), now)
	t.executing.set(float64(running)*part, now)
	t.seats.set(float64(seats)*part, now)
	t.demand.set(l.set.Demand.Value()*part, now)
}

// places is how many requests may wait; mu is held.
func (l *level) places() int {
	if limited := l.object.Spec.Limited; limited != nil && limited.LimitResponse.Queuing != nil {
		return max(1, int(limited.LimitResponse.Queuing.Queues*limited.LimitResponse.Queuing.QueueLengthLimit))
	}
	return 1
}

func (t *timings) collect(l *level, out chan<- prometheus.Metric) {
	t.note(l, clock())
	out <- t.waiting.metric(requestTiming, "waiting", l.name)
	out <- t.executing.metric(requestTiming, "executing", l.name)
	out <- t.seats.metric(seatTiming, l.name)
	out <- t.demand.metric(demandTiming, l.name)
}
