package remote

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/apiserver/request"
)

// The metrics of webhooks, under upstream's names.
var (
	evaluations = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_authorization_webhook_evaluations_total", Help: "Calls of authorization webhooks, by name and result.",
	}, []string{"name", "result"})
	durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "apiserver_authorization_webhook_duration_seconds", Help: "Time of a call of an authorization webhook.",
		Buckets: []float64{0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10, 25},
	}, []string{"name", "result"})
	failOpen = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_authorization_webhook_evaluations_fail_open_total", Help: "Failed calls that left the decision to others.",
	}, []string{"name", "result"})
	excluded = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_authorization_match_condition_exclusions_total", Help: "Requests about which a webhook was not asked since its conditions exclude them.",
	}, []string{"name"})
)

// Metrics are to be registered by the server.
func Metrics() []prometheus.Collector {
	return []prometheus.Collector{evaluations, durations, failOpen, excluded}
}

func observe(ctx context.Context, a *Authorizer, err error, took time.Duration) {
	result := "success"
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded) || apierrors.IsTimeout(err):
		result = "timeout"
	case ctx.Err() != nil:
		result = "canceled"
	default:
		result = "error"
	}
	evaluations.WithLabelValues(a.name, result).Inc()
	durations.WithLabelValues(a.name, result).Observe(took.Seconds())
	if err != nil && a.onError == request.NoOpinion {
		failOpen.WithLabelValues(a.name, result).Inc()
	}
}
