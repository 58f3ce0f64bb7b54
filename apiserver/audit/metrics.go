package audit

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"
)

// The metrics of auditing, under upstream's names.
var (
	eventTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "apiserver_audit_event_total", Help: "Audit events that were made and handed to the sinks.",
	})
	errorTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_audit_error_total", Help: "Audit events that were not recorded, by the sink that failed.",
	}, []string{"plugin"})
	levelTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_audit_level_total", Help: "Requests by the level that the policy gave them.",
	}, []string{"level"})
	rejectedTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "apiserver_audit_requests_rejected_total", Help: "Requests that were refused because their event could not be stored.",
	})
)

// Metrics are to be registered by the server.
func Metrics() []prometheus.Collector {
	return []prometheus.Collector{eventTotal, errorTotal, levelTotal, rejectedTotal}
}

// lost says in the server's log that events were not recorded, and what of them is short.
func lost(sink string, err error, events []*Event) {
	errorTotal.WithLabelValues(sink).Add(float64(len(events)))
	lines := make([]string, len(events))
	for i, event := range events {
		lines[i] = event.legacy()
	}
	klog.ErrorS(err, "Audit events were lost", "sink", sink, "count", len(events), "events", strings.Join(lines, "\n"))
}
