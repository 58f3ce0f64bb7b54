package server

import (
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// routes is the whole port on one screen.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	s.observe(mux)
	if s.config.ConfigZ != nil {
		mux.HandleFunc("GET /configz", s.configz)
	}
	if s.config.Journal != nil {
		mux.Handle("GET /debug/journal", s.config.Journal)
	}
	if s.config.NoDebugging {
		for _, path := range []string{"/run/", "/exec/", "/attach/", "/portForward/", "/containerLogs/", "/runningpods/", "/logs/"} {
			mux.HandleFunc(path, disabled)
		}
		return mux
	}
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.containerLogs)
	mux.HandleFunc("GET /runningpods/{$}", s.runningPods)
	if s.config.LogDir != "" {
		mux.Handle("GET /logs/", http.StripPrefix("/logs/", http.FileServer(http.Dir(s.config.LogDir))))
	}
	mux.HandleFunc("POST /run/{namespace}/{pod}/{container}", s.run)
	mux.HandleFunc("POST /run/{namespace}/{pod}/{uid}/{container}", s.run)
	for _, method := range []string{"GET", "POST"} {
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{container}", s.exec)
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{uid}/{container}", s.exec)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{container}", s.attach)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{uid}/{container}", s.attach)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}", s.portForward)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}/{uid}", s.portForward)
	}
	if s.config.Profiling {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// observe are the routes that only look.
func (s *Server) observe(mux *http.ServeMux) {
	if s.config.Health != nil {
		mux.Handle("/healthz", s.config.Health)
		mux.Handle("/healthz/", s.config.Health)
	}
	mux.HandleFunc("GET /pods", s.pods)
	if s.config.Metrics != nil {
		mux.Handle("GET /metrics", metrics(s.config.Metrics))
	}
	if s.config.Probes != nil {
		mux.Handle("GET /metrics/probes", metrics(s.config.Probes))
	}
	if s.config.Summary != nil {
		registry := prometheus.NewRegistry()
		registry.MustRegister(resources{s.config.Summary})
		mux.Handle("GET /metrics/resource", metrics(registry))
		mux.HandleFunc("GET /stats/summary", s.summary)
	}
}

func metrics(from prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(from, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

func disabled(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "Debug endpoints are disabled.", http.StatusMethodNotAllowed)
}
