package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Serve answers HTTP (HTTPS if config is not nil) on a listener until ctx ends, then drains for up to five seconds. A config
// that names http/1.1 as its only protocol (NextProtos) is served without HTTP/2.
func Serve(ctx context.Context, listener net.Listener, config *tls.Config, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, TLSConfig: config,
		ReadHeaderTimeout: 32 * time.Second, IdleTimeout: 90 * time.Second, MaxHeaderBytes: 1 << 20,
	}
	if config != nil && slices.Equal(config.NextProtos, []string{"http/1.1"}) {
		server.Protocols = &http.Protocols{}
		server.Protocols.SetHTTP1(true)
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(drain)
	}()
	var err error
	if config != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		if err = <-stopped; errors.Is(err, context.DeadlineExceeded) {
			return server.Close()
		}
	}
	return err
}

// Health is a set of named checks served as upstream serves them: "ok", or a line a check with a cross at each that failed.
// The zero value is ready to use.
type Health struct {
	mu     sync.Mutex
	checks map[string]func() error // by name
}

// Check adds or replaces a check; nil from it means healthy.
func (h *Health) Check(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]func() error{}
	}
	h.checks[name] = check
}

// ServeHTTP answers 200 when every check passes, 500 otherwise. ?verbose lists the checks, ?exclude=NAME leaves one out.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	names := make([]string, 0, len(h.checks))
	for name := range h.checks {
		names = append(names, name)
	}
	checks := make(map[string]func() error, len(names))
	for name, check := range h.checks {
		checks[name] = check
	}
	h.mu.Unlock()
	sort.Strings(names)
	excluded := map[string]bool{}
	for _, name := range r.URL.Query()["exclude"] {
		excluded[name] = true
	}
	var report strings.Builder
	failed := false
	for _, name := range names {
		switch {
		case excluded[name]:
			fmt.Fprintf(&report, "[+]%s excluded: ok\n", name)
		default:
			if err := checks[name](); err != nil {
				failed = true
				fmt.Fprintf(&report, "[-]%s failed: %v\n", name, err)
			} else {
				fmt.Fprintf(&report, "[+]%s ok\n", name)
			}
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if failed {
		http.Error(w, report.String()+"healthz check failed", http.StatusInternalServerError)
		return
	}
	if _, verbose := r.URL.Query()["verbose"]; verbose {
		fmt.Fprintf(w, "%shealthz check passed\n", report.String())
		return
	}
	fmt.Fprint(w, "ok")
}

// Mux is what the small port of a component serves: /healthz, /livez, /readyz and /metrics.
func Mux(health *Health, metrics prometheus.Gatherer) *http.ServeMux {
	mux := http.NewServeMux()
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		mux.Handle(path, health)
	}
	mux.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}
