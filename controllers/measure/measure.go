// Package measure registers the metrics of single controllers. Controllers are built anew at each won election, so a
// metric that is registered already is used again rather than refused.
package measure

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Counter returns a registered counter vector; registry may be nil, it then counts for nobody.
func Counter(registry prometheus.Registerer, opts prometheus.CounterOpts, labels ...string) *prometheus.CounterVec {
	return register(registry, prometheus.NewCounterVec(opts, labels))
}

// Histogram returns a registered histogram vector; registry may be nil, it then measures for nobody.
func Histogram(registry prometheus.Registerer, opts prometheus.HistogramOpts, labels ...string) *prometheus.HistogramVec {
	return register(registry, prometheus.NewHistogramVec(opts, labels))
}

// Gauge returns a registered gauge vector; registry may be nil, it then shows nobody.
func Gauge(registry prometheus.Registerer, opts prometheus.GaugeOpts, labels ...string) *prometheus.GaugeVec {
	return register(registry, prometheus.NewGaugeVec(opts, labels))
}

func register[C prometheus.Collector](registry prometheus.Registerer, collector C) C {
	if registry == nil {
		return collector
	}
	err := registry.Register(collector)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if same, ok := there.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		panic(err) // two different metrics of one name: a mistake in the program
	}
	return collector
}
