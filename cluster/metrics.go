package cluster

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of the components that share this process with the API server. Its /metrics shows them together with its own:
// upstream's names say of which component they are, and where two have the same, as for work queues, labels tell them apart.
// What the process itself is measured by is the API server's. Node agents have ports of their own.
type metrics struct{ controllers, scheduler, cloud *prometheus.Registry }

func newMetrics() metrics {
	return metrics{prometheus.NewRegistry(), prometheus.NewRegistry(), prometheus.NewRegistry()}
}

func (m *metrics) gatherers() []prometheus.Gatherer {
	return []prometheus.Gatherer{m.controllers, m.scheduler, m.cloud}
}
