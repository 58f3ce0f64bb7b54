package oidc

import "github.com/prometheus/client_golang/prometheus"

// The metrics of reloading, under upstream's names.
var (
	reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_authentication_config_controller_automatic_reloads_total",
		Help: "Readings of a changed authentication configuration, by status.",
	}, []string{"apiserver_id_hash", "status"})
	reloadTime = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "apiserver_authentication_config_controller_automatic_reload_last_timestamp_seconds",
		Help: "When a changed authentication configuration was read last, by status.",
	}, []string{"apiserver_id_hash", "status"})
)

// Metrics are to be registered by the server.
func Metrics() []prometheus.Collector { return []prometheus.Collector{reloads, reloadTime} }

func reloaded(err error) {
	status := "success"
	if err != nil {
		status = "failure"
	}
	reloads.WithLabelValues("", status).Inc()
	reloadTime.WithLabelValues("", status).SetToCurrentTime()
}
