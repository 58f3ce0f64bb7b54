package policy

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// Metrics under upstream's names.
var (
	buckets = []float64{0.0000005, 0.001, 0.01, 0.1, 1}
	labels  = []string{"policy", "policy_binding", "error_type", "enforcement_action"}

	checks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_validating_admission_policy_check_total", Help: "Validations of policies that had consequences, and these.",
	}, labels)
	checkSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "apiserver_validating_admission_policy_check_duration_seconds", Help: "Time that one validation took.", Buckets: buckets,
	}, labels)
	mutations = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_mutating_admission_policy_check_total", Help: "Mutations of policies.",
	}, labels[:3])
	mutationSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "apiserver_mutating_admission_policy_check_duration_seconds", Help: "Time that one mutation took.", Buckets: buckets,
	}, labels[:3])
)

// Metrics are those of this package, for the server to register.
func Metrics() []prometheus.Collector {
	return []prometheus.Collector{checks, checkSeconds, mutations, mutationSeconds}
}

// errorType names an error in metrics.
func errorType(err error) string {
	switch {
	case err == nil:
		return "no_error"
	case errors.Is(err, apiservercel.ErrCompilation):
		return "compile_error"
	case errors.Is(err, apiservercel.ErrOutOfBudget):
		return "out_of_budget"
	}
	return "invalid_error"
}

func (in *invocation) observe(action string, err error, took time.Duration) {
	values := []string{in.name, in.binding.name, errorType(err), action}
	checks.WithLabelValues(values...).Inc()
	checkSeconds.WithLabelValues(values...).Observe(took.Seconds())
}

func observeMutation(in *invocation, err error, took time.Duration) {
	values := []string{in.name, in.binding.name, errorType(err)}
	mutations.WithLabelValues(values...).Inc()
	mutationSeconds.WithLabelValues(values...).Observe(took.Seconds())
}
