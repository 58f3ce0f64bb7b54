package apiserver

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Metrics of who asks and whether they may, by result.
var (
	authentications = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authentication_attempts", Help: "Attempts to authenticate: success, failure or error.",
	}, byResult)
	authenticationTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "authentication_duration_seconds", Help: "Time of an attempt to authenticate.", Buckets: fromMillisecond,
	}, byResult)
	authenticatedUsers = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authenticated_user_requests", Help: "Requests of known users, the most common ones by name.",
	}, []string{"username"})
	authorizations = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authorization_attempts_total", Help: "Authorizations: allowed, denied, no-opinion or error.",
	}, byResult)
	authorizationTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "authorization_duration_seconds", Help: "Time of an authorization.", Buckets: fromMillisecond,
	}, byResult)

	access = []prometheus.Collector{authentications, authenticationTime, authenticatedUsers, authorizations, authorizationTime}

	byResult        = []string{"result"}
	fromMillisecond = prometheus.ExponentialBuckets(0.001, 2, 15)
)

// timed is a result's counter and times, looked up once.
type timed struct {
	count prometheus.Counter
	took  prometheus.Observer
}

func (t *timed) observe(took time.Duration) {
	t.count.Inc()
	t.took.Observe(took.Seconds())
}

func timedAs(counts *prometheus.CounterVec, times *prometheus.HistogramVec, result string) *timed {
	return &timed{counts.WithLabelValues(result), times.WithLabelValues(result)}
}

var (
	authenticated   = timedAs(authentications, authenticationTime, "success")
	unauthenticated = timedAs(authentications, authenticationTime, "failure")
	authenticating  = timedAs(authentications, authenticationTime, "error")

	perDecision = map[request.Decision]*timed{
		request.Allow:     timedAs(authorizations, authorizationTime, "allowed"),
		request.Deny:      timedAs(authorizations, authorizationTime, "denied"),
		request.NoOpinion: timedAs(authorizations, authorizationTime, "no-opinion"),
	}
	undecided = timedAs(authorizations, authorizationTime, "error")
)

// counted are the names of users that are counted by name.
var counted = []string{"admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default"}

func observeAuthentication(user *resource.User, known bool, err error, took time.Duration) {
	switch {
	case err != nil:
		authenticating.observe(took)
	case !known:
		unauthenticated.observe(took)
	default:
		authenticated.observe(took)
		authenticatedUsers.WithLabelValues(userLabel(user.Name)).Inc()
	}
}

// userLabel bounds how many names there are.
func userLabel(name string) string {
	switch {
	case slices.Contains(counted, name):
		return name
	case strings.Contains(name, "@"):
		return "email_id"
	}
	return "other"
}

func observeAuthorization(decision request.Decision, err error, took time.Duration) {
	if err != nil {
		undecided.observe(took)
		return
	}
	perDecision[decision].observe(took)
}
