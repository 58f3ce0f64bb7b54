package authn

import "github.com/prometheus/client_golang/prometheus"

const day = 24 * 60 * 60

// expiration warns of clients whose certificates end soon.
var expiration = prometheus.NewHistogram(prometheus.HistogramOpts{
	Name:    "apiserver_client_certificate_expiration_seconds",
	Help:    "How long the certificates that authenticated requests are still valid.",
	Buckets: []float64{0, 1800, 3600, 7200, 21600, 43200, day, 2 * day, 4 * day, 7 * day, 30 * day, 90 * day, 180 * day, 360 * day},
})

// Metrics are those of this package, for the server to register.
var Metrics = []prometheus.Collector{expiration}
