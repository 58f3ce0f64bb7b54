package aggregate

import (
	"github.com/prometheus/client_golang/prometheus"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

var (
	unavailable = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "aggregator_unavailable_apiservice", Help: "1 for each APIService that is not available.",
	}, []string{"name"})
	unavailableTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "aggregator_unavailable_apiservice_total", Help: "How often an APIService became unavailable, by reason.",
	}, []string{"name", "reason"})
)

// Metrics are this package's, under upstream's names.
var Metrics = []prometheus.Collector{unavailable, unavailableTotal}

func measureAvailability(name string, now apiregistrationv1.APIServiceCondition) {
	value := 1.0
	if now.Status == apiregistrationv1.ConditionTrue {
		value = 0
	}
	unavailable.WithLabelValues(name).Set(value)
}

func countUnavailable(name string, now apiregistrationv1.APIServiceCondition) {
	if now.Status != apiregistrationv1.ConditionTrue {
		unavailableTotal.WithLabelValues(name, now.Reason).Inc()
	}
}

func forgetAvailability(name string) { unavailable.DeleteLabelValues(name) }
