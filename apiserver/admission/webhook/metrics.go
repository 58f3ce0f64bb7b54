package webhook

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/septet-io/septet/apiserver/admission"
)

// Metrics under upstream's names.
var (
	durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "apiserver_admission_webhook_admission_duration_seconds",
		Help:    "Time that a webhook took, by its name, operation, kind of admission (validating or admit) and whether it was in the way.",
		Buckets: []float64{0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25},
	}, []string{"name", "type", "operation", "rejected"})
	requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_admission_webhook_request_total",
		Help: "Requests to webhooks, with the status code, at most 600, that came of it.",
	}, []string{"name", "type", "operation", "code", "rejected"})
	rejections = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_admission_webhook_rejection_count",
		Help: "Requests that a webhook, or an error around it, was in the way of.",
	}, []string{"name", "type", "operation", "error_type", "rejection_code"})
	failedOpen = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_admission_webhook_fail_open_count",
		Help: "Requests that went on without a webhook that could not be called.",
	}, []string{"name", "type"})
	conditionErrors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_admission_match_condition_evaluation_errors_total",
		Help: "Match conditions that could not be evaluated, by the name of what has them.",
	}, perCondition)
	conditionExclusions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_admission_match_condition_exclusions_total",
		Help: "Requests that a match condition excluded.",
	}, perCondition)
	conditionSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "apiserver_admission_match_condition_evaluation_seconds", Help: "Time that match conditions took.",
		Buckets: []float64{0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25},
	}, perCondition)

	perCondition = []string{"name", "kind", "type", "operation"}
)

// Metrics are those of this package, for the server to register.
func Metrics() []prometheus.Collector {
	return []prometheus.Collector{durations, requests, rejections, failedOpen, conditionErrors, conditionExclusions, conditionSeconds}
}

// mostCode bounds the label of status codes, which webhooks choose.
const mostCode = 600

func observeCall(h *hook, a *admission.Attributes, took time.Duration, o *outcome) {
	operation, rejected := string(a.Operation), strconv.FormatBool(o.refused)
	code := strconv.Itoa(min(o.code, mostCode))
	requests.WithLabelValues(h.name, h.kind, operation, code, rejected).Inc()
	durations.WithLabelValues(h.name, h.kind, operation, rejected).Observe(took.Seconds())
	if o.refused && !o.canceled {
		rejections.WithLabelValues(h.name, h.kind, operation, o.cause, code).Inc()
	}
}

// conditionKind is what metrics of match conditions call the kind of admission.
func conditionKind(h *hook) string {
	if h.kind == "validating" {
		return "validate"
	}
	return h.kind
}

func observeConditions(h *hook, a *admission.Attributes, took time.Duration) {
	conditionSeconds.WithLabelValues(h.name, "webhook", conditionKind(h), string(a.Operation)).Observe(took.Seconds())
}
