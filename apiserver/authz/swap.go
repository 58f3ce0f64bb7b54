package authz

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Swap is a Chain that may be replaced while it is in use.
type Swap struct{ current atomic.Pointer[Chain] }

// NewSwap returns a Swap with a first Chain.
func NewSwap(first Chain) *Swap {
	s := &Swap{}
	s.Store(first)
	return s
}

// Store puts another Chain into use.
func (s *Swap) Store(next Chain) { s.current.Store(&next) }

// Authorize is request.Authorizer.
func (s *Swap) Authorize(ctx context.Context, info *request.Info, user resource.User) (request.Decision, string, error) {
	return s.current.Load().Authorize(ctx, info, user)
}

// Rules is request.RuleLister.
func (s *Swap) Rules(ctx context.Context, user resource.User, namespace string) ([]request.ResourceRule, []request.PathRule, bool, error) {
	return s.current.Load().Rules(ctx, user, namespace)
}

// The metrics of reloading, under upstream's names.
var (
	reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_authorization_config_controller_automatic_reloads_total",
		Help: "Readings of a changed authorization configuration, by status.",
	}, []string{"apiserver_id_hash", "status"})
	reloadTime = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "apiserver_authorization_config_controller_automatic_reload_last_timestamp_seconds",
		Help: "When a changed authorization configuration was read last, by status.",
	}, []string{"apiserver_id_hash", "status"})
)

// Metrics are to be registered by the server.
func Metrics() []prometheus.Collector { return []prometheus.Collector{reloads, reloadTime} }

// Reloaded counts a reading of a changed configuration.
func Reloaded(err error) {
	status := "success"
	if err != nil {
		status = "failure"
	}
	reloads.WithLabelValues("", status).Inc()
	reloadTime.WithLabelValues("", status).SetToCurrentTime()
}
