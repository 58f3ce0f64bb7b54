package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// Health is the server's checks, in order. A check belongs to /livez, /readyz or both; /healthz has all. The zero value is empty.
type Health struct {
	// Graceful says that it is too early to call the server dead for what is still starting; nil: it never is.
	Graceful func() bool

	mu sync.RWMutex
	// checks is guarded by mu.
	checks []check
}

// Scope says where a check counts.
type Scope int

// Live checks fail when only a restart helps, Ready ones when requests should go elsewhere for now.
const (
	Live Scope = 1 << iota
	Ready
	// Boot checks pass once the server is up. They count for all paths, for /livez only when LivezGrace has passed.
	Boot
	Both = Live | Ready
)

type check struct {
	name  string
	scope Scope
	run   func(context.Context) error
}

// Check adds a check, or replaces the one of that name. It must be quick.
func (h *Health) Check(name string, scope Scope, run func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.checks {
		if h.checks[i].name == name {
			h.checks[i] = check{name, scope, run}
			return
		}
	}
	h.checks = append(h.checks, check{name, scope, run})
}

// addHealth adds the checks that every server has.
func (s *Server) addHealth() {
	s.Health.Graceful = func() bool { return time.Since(s.started) < s.config.LivezGrace }
	s.Health.Check("ping", Both, func(context.Context) error { return nil })
	s.Health.Check("log", Both, func(context.Context) error { return nil })
	s.Health.Check("etcd", Both, s.etcdHealth(s.config.HealthTimeout))
	s.Health.Check("etcd-readiness", Ready, s.etcdHealth(s.config.ReadyTimeout))
	s.Health.Check("shutdown", Ready, func(context.Context) error {
		if s.stopping.Load() {
			return errors.New("process is shutting down")
		}
		return nil
	})
}

// etcdTime is how long etcd may take to answer a health check, where nothing else is configured.
const etcdTime = 2 * time.Second

func (s *Server) etcdHealth(limit time.Duration) func(context.Context) error {
	if limit == 0 {
		limit = etcdTime
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return s.backend.Health(ctx)
	}
}

// scopeOf is which checks a path asks for.
var scopeOf = map[string]Scope{"/livez": Live | Boot, "/readyz": Ready | Boot, "/healthz": Both | Boot}

func (h *Health) selected(scope Scope) []check {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var found []check
	for _, c := range h.checks {
		if c.scope&scope == 0 {
			continue
		}
		if c.scope == Boot && scope == Live|Boot && h.Graceful != nil && h.Graceful() {
			c.run = func(context.Context) error { return nil }
		}
		found = append(found, c)
	}
	return found
}

// handler serves one of the three paths: "ok", or which checks failed. ?verbose shows all, ?exclude leaves one out, and
// below the path is each check alone.
func (h *Health) handler(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		checks := h.selected(scopeOf[path])
		if name := strings.Trim(strings.TrimPrefix(r.URL.Path, path), "/"); name != "" {
			serveOne(w, r, checks, name)
			return
		}
		serveAll(w, r, checks, strings.TrimPrefix(path, "/"))
	})
}

func serveOne(w http.ResponseWriter, r *http.Request, checks []check, name string) {
	i := slices.IndexFunc(checks, func(c check) bool { return c.name == name })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	err := checks[i].run(r.Context())
	observeCheck(strings.SplitN(r.URL.Path, "/", 3)[1], name, err)
	if err != nil {
		http.Error(w, fmt.Sprintf("internal server error: %v", err), http.StatusInternalServerError)
		return
	}
	plain(w, "ok")
}

func serveAll(w http.ResponseWriter, r *http.Request, checks []check, path string) {
	query := r.URL.Query()
	excluded := map[string]bool{}
	for _, name := range query["exclude"] {
		excluded[name] = true
	}
	var report strings.Builder
	var failed []string
	for _, c := range checks {
		if excluded[c.name] {
			delete(excluded, c.name)
			fmt.Fprintf(&report, "[+]%s excluded: ok\n", c.name)
			continue
		}
		err := c.run(r.Context())
		observeCheck(path, c.name, err)
		if err != nil {
			failed = append(failed, c.name)
			// Why is for the log: whoever may see the path may not see the reason.
			fmt.Fprintf(&report, "[-]%s failed: reason withheld\n", c.name)
			klog.FromContext(r.Context()).V(2).Info("Health check failed", "path", path, "check", c.name, "err", err)
			continue
		}
		fmt.Fprintf(&report, "[+]%s ok\n", c.name)
	}
	if len(excluded) > 0 {
		fmt.Fprintf(&report, "warn: some health checks cannot be excluded: no matches for %s\n", quotedKeys(excluded))
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if len(failed) > 0 {
		http.Error(w, fmt.Sprintf("%s%s check failed", report.String(), path), http.StatusInternalServerError)
		return
	}
	if _, verbose := query["verbose"]; verbose {
		plain(w, fmt.Sprintf("%s%s check passed\n", report.String(), path))
		return
	}
	plain(w, "ok")
}

func quotedKeys(set map[string]bool) string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, fmt.Sprintf("%q", name))
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(text)) // a client that went away needs no answer
}

func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a client that went away needs no answer
}
