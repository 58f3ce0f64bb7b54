package apiserver

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/policy"
	"github.com/septet-io/septet/apiserver/admission/webhook"
	"github.com/septet-io/septet/apiserver/aggregate"
	"github.com/septet-io/septet/apiserver/audit"
	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/apiserver/authn/oidc"
	"github.com/septet-io/septet/apiserver/authz"
	"github.com/septet-io/septet/apiserver/authz/remote"
	"github.com/septet-io/septet/apiserver/flow"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/daemon"
)

// Metrics are those of the API server, under upstream's names. Packages below add theirs.
var Metrics = prometheus.NewRegistry()

var (
	perRequest = []string{"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"}
	perAnswer  = []string{"verb", "group", "version", "resource", "subresource", "scope", "component"}

	requestTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_request_total",
		Help: "Requests by verb, dry run, group, version, resource, scope, component and response code.",
	}, append(perRequest[:len(perRequest):len(perRequest)], "code", "system_client"))
	requestDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "apiserver_request_duration_seconds",
		Help:    "Time to the end of the answer.",
		Buckets: []float64{0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60},
	}, perRequest)
	responseSizes = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "apiserver_response_sizes", Help: "Bytes of the answer.",
		Buckets: prometheus.ExponentialBuckets(1000, 10, 7),
	}, perAnswer)
	currentInflight = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "apiserver_current_inflight_requests", Help: "Requests under way, by kind: readOnly or mutating.",
	}, []string{"request_kind"})
	longrunningRequests = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "apiserver_longrunning_requests", Help: "Watches and connections under way.",
	}, perAnswer)
	requestSLI = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "apiserver_request_sli_duration_seconds",
		Help:    "Time to the end of the answer, without what webhooks took and what the request waited for its turn.",
		Buckets: []float64{0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60},
	}, perAnswer)
	terminations = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_request_terminations_total", Help: "Requests that the server refused or broke off to protect itself.",
	}, append(perAnswer[:len(perAnswer):len(perAnswer)], "code"))
	aborts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_request_aborts_total", Help: "Requests whose answer was broken off.",
	}, perAnswer[:len(perAnswer)-1])
	admissionSteps = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "apiserver_admission_step_admission_duration_seconds", Help: "Time of all admission plug-ins of a phase, admit or validate.",
		Buckets: []float64{0.005, 0.025, 0.1, 0.5, 1, 2.5},
	}, []string{"type", "operation", "rejected"})
	admissionDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "apiserver_admission_controller_admission_duration_seconds", Help: "Time of one admission plug-in.",
		Buckets: []float64{0.005, 0.025, 0.1, 0.5, 1, 2.5},
	}, []string{"name", "operation", "rejected", "type"})
	deprecatedAPIs = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "apiserver_requested_deprecated_apis", Help: "1 for each deprecated API that has been asked for.",
	}, []string{"group", "version", "resource", "subresource", "removed_release"})
	healthCheck = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "kubernetes_healthcheck", Help: "Whether a health check succeeded when it was asked last.",
	}, []string{"name", "type"})
	healthChecks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kubernetes_healthchecks_total", Help: "Health checks, by what came of them.",
	}, []string{"name", "type", "status"})
)

func init() {
	Metrics.MustRegister(requestTotal, requestDuration, responseSizes, currentInflight, longrunningRequests, admissionDuration, admissionSteps, requestSLI, terminations, aborts,
		deprecatedAPIs, healthCheck, healthChecks, buildInfo(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	Metrics.MustRegister(slices.Concat(access, authn.Metrics, audit.Metrics(), oidc.Metrics(), authz.Metrics(), remote.Metrics(), aggregate.Metrics, webhook.Metrics(), policy.Metrics(), flow.Metrics, store.Metrics)...)
}

// metricsHandler shows the server's metrics and those of the components beside it. One that cannot be read leaves the others.
func (s *Server) metricsHandler() http.Handler {
	own := prometheus.NewRegistry()
	own.MustRegister(stored{s})
	all := append(prometheus.Gatherers{Metrics, own}, s.config.Metrics...)
	return promhttp.HandlerFor(without(s.config.DisabledMetrics, all), promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError})
}

// series is the label values of a request.
type series struct {
	verb, dry, group, version, resource, subresource, scope string
	code                                                    int
	system                                                  bool
}

// bound are the metrics of one series, looked up once.
type bound struct {
	total    prometheus.Counter
	duration prometheus.Observer
	sli      prometheus.Observer
	size     prometheus.Observer // nil but of reads: what writes answer is what they were sent
}

// measured has bound metrics by series. Its size is bounded by what is served, since other names are left out.
var measured sync.Map

// healthPaths are the paths that metrics tell apart.
var healthPaths = []string{"/healthz", "/livez", "/readyz"}

// upperVerbs are the metric's verbs.
var upperVerbs = map[string]string{
	"get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE",
	"deletecollection": "DELETECOLLECTION", "post": "POST", "put": "PUT", "proxy": "CONNECT",
}

// measure counts an answered request.
func (s *Server) measure(c *call) {
	key := s.series(&c.state)
	key.code = c.recorder.code
	if key.code == 0 {
		key.code = http.StatusOK
	}
	if query := c.r.URL.RawQuery; query != "" && c.r.Method != http.MethodGet && c.r.URL.Query().Get("dryRun") == "All" {
		key.dry = "All"
	}
	key.system = isSystem(&c.state)
	if key.verb == "PATCH" && c.r.Header.Get("Content-Type") == "application/apply-patch+yaml" {
		key.verb = "APPLY"
	}
	found, ok := measured.Load(key)
	if !ok {
		found, _ = measured.LoadOrStore(key, bind(&key))
	}
	b := found.(*bound)
	b.total.Inc()
	if key.verb != "WATCH" && key.verb != "CONNECT" {
		took := time.Since(c.state.Received)
		b.duration.Observe(took.Seconds())
		b.sli.Observe((took - c.state.Excluded()).Seconds())
		if b.size != nil {
			b.size.Observe(float64(c.recorder.size))
		}
	}
	s.measureEnd(c, &key)
}

// measureEnd counts requests that did not end as their clients wished: there were too many, their time was over, their answer was broken off.
func (s *Server) measureEnd(c *call, key *series) {
	late := key.code == http.StatusGatewayTimeout && errors.Is(c.r.Context().Err(), context.DeadlineExceeded)
	if c.dropped || late {
		terminations.WithLabelValues(append(key.perAnswer(), strconv.Itoa(key.code))...).Inc()
	}
	if c.cause == http.ErrAbortHandler {
		aborts.WithLabelValues(key.perAnswer()[:len(perAnswer)-1]...).Inc()
	}
}

func (s *Server) series(state *request.State) series {
	key := series{verb: upperVerbs[state.Verb]}
	if key.verb == "" {
		key.verb = "OTHER"
	}
	if !state.IsResource {
		if slices.Contains(healthPaths, state.Path) {
			key.subresource = state.Path
		}
		return key
	}
	key.scope = "cluster"
	switch {
	case state.Name != "":
		key.scope = "resource"
	case state.Namespace != "":
		key.scope = "namespace"
	}
	if found := s.Resources.Get(resourceOf(state)); found != nil {
		if found.Deprecated() {
			deprecatedAPIs.WithLabelValues(state.Group, state.Version, state.Resource, "", "").Set(1)
		}
		key.group, key.version, key.resource = state.Group, state.Version, state.Resource
		if found.Has(state.Subresource) {
			key.subresource = state.Subresource
		}
	}
	return key
}

func isSystem(state *request.State) bool {
	switch state.User.Name {
	case "system:apiserver", "system:kube-scheduler", "system:kube-controller-manager":
		return true
	}
	return false
}

func bind(key *series) *bound {
	system := ""
	if key.system {
		system = "true"
	}
	labels := []string{key.verb, key.dry, key.group, key.version, key.resource, key.subresource, key.scope, "apiserver"}
	b := &bound{
		total:    requestTotal.WithLabelValues(append(labels[:len(labels):len(labels)], strconv.Itoa(key.code), system)...),
		duration: requestDuration.WithLabelValues(labels...),
		sli:      requestSLI.WithLabelValues(key.perAnswer()...),
	}
	if key.verb == "GET" || key.verb == "LIST" {
		b.size = responseSizes.WithLabelValues(key.perAnswer()...)
	}
	return b
}

// perAnswer are the values of the labels perAnswer.
func (k *series) perAnswer() []string {
	return []string{k.verb, k.group, k.version, k.resource, k.subresource, k.scope, "apiserver"}
}

var (
	readOnly = currentInflight.WithLabelValues("readOnly")
	mutating = currentInflight.WithLabelValues("mutating")
)

// inFlight counts a request in (1) or out (-1).
func (s *Server) inFlight(state *request.State, change float64) {
	if longRunning(&state.Info) {
		key := s.series(state)
		longrunningRequests.WithLabelValues(key.verb, key.group, key.version, key.resource, key.subresource, key.scope, "apiserver").Add(change)
		return
	}
	switch state.Verb {
	case "get", "list", "watch", "head", "options":
		readOnly.Add(change)
	default:
		mutating.Add(change)
	}
}

// admitted is the label values of one plug-in's admission; without a plug-in, of all of a phase.
type admitted struct {
	plugin, operation, phase string
	rejected                 bool
}

func (a *admitted) observer() prometheus.Observer {
	rejected := strconv.FormatBool(a.rejected)
	if a.plugin == "" {
		return admissionSteps.WithLabelValues(a.phase, a.operation, rejected)
	}
	return admissionDuration.WithLabelValues(a.plugin, a.operation, rejected, a.phase)
}

// admissionMeasured has the observers of admission, looked up once.
var admissionMeasured sync.Map

func observeAdmission(plugin, phase string, a *admission.Attributes, took time.Duration, err error) {
	key := admitted{plugin, string(a.Operation), phase, err != nil}
	found, ok := admissionMeasured.Load(key)
	if !ok {
		found, _ = admissionMeasured.LoadOrStore(key, key.observer())
	}
	found.(prometheus.Observer).Observe(took.Seconds())
}

// observeCheck counts a health check of /livez, /readyz or /healthz.
func observeCheck(kind, name string, err error) {
	status, healthy := "success", 1.0
	if err != nil {
		status, healthy = "error", 0
	}
	healthCheck.WithLabelValues(name, kind).Set(healthy)
	healthChecks.WithLabelValues(name, kind, status).Inc()
}

// buildInfo says which version runs, as a metric that is always 1.
func buildInfo() prometheus.Collector {
	v := daemon.Version()
	names := []string{"major", "minor", "git_version", "git_commit", "git_tree_state", "build_date", "go_version", "compiler", "platform"}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kubernetes_build_info", Help: "The version that runs, always 1."}, names)
	info.WithLabelValues(v.Major, v.Minor, v.GitVersion, v.GitCommit, v.GitTreeState, v.BuildDate, v.GoVersion, v.Compiler, v.Platform).Set(1)
	return info
}
