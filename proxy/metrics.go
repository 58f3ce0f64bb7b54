package proxy

import "github.com/prometheus/client_golang/prometheus"

// metrics are upstream's, by name.
type metrics struct {
	passes, latency                           prometheus.Histogram
	last                                      prometheus.Gauge
	serviceChanges, endpointChanges, failures prometheus.Counter
}

// newMetrics makes them and registers them, if there is a registry.
func newMetrics(registry prometheus.Registerer) metrics {
	const subsystem = "kubeproxy"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Subsystem: subsystem, Name: name, Help: help})
	}
	m := metrics{
		passes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Subsystem: subsystem, Name: "sync_proxy_rules_duration_seconds", Help: "[ALPHA] SyncProxyRules latency in seconds",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 18),
		}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Subsystem: subsystem, Name: "network_programming_duration_seconds", Help: "[ALPHA] In Cluster Network Programming Latency in seconds",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 20),
		}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Subsystem: subsystem, Name: "sync_proxy_rules_last_timestamp_seconds", Help: "[ALPHA] The last time proxy rules were successfully synced",
		}),
		serviceChanges:  counter("sync_proxy_rules_service_changes_total", "[ALPHA] Cumulative proxy rules Service changes"),
		endpointChanges: counter("sync_proxy_rules_endpoint_changes_total", "[ALPHA] Cumulative proxy rules Endpoint changes"),
		failures:        counter("sync_proxy_rules_nftables_sync_failures_total", "[ALPHA] Cumulative proxy nftables sync failures"),
	}
	if registry != nil {
		registry.MustRegister(m.passes, m.latency, m.last, m.serviceChanges, m.endpointChanges, m.failures)
	}
	return m
}
