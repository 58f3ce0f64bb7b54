package apiserver

import (
	"net/http"
	"strings"
	"testing"

	"github.com/septet-io/septet/apiserver"
)

// TestFiltersStandBetweenClientsAndVerbs for each filter that has an effect of its own.
func TestFiltersStandBetweenClientsAndVerbs(t *testing.T) {
	t.Parallel()
	s := Start(t, func(c *apiserver.Config) {
		c.AllowOrigins = []string{`^https://ui\.example\.com$`}
		c.Paths = map[string]http.Handler{
			"/panic": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("on purpose") }),
			"/slow": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				http.Error(w, "late", http.StatusGatewayTimeout)
			}),
		}
	})
	if a := s.Do("GET", "/panic", ""); a.Code != 500 || !strings.Contains(a.Status(t).Message, "caused apiserver to panic") {
		t.Errorf("a panic: %d %s", a.Code, a.Body)
	}
	if a := s.Do("GET", "/slow?timeout=10ms", ""); a.Code != 504 {
		t.Errorf("a request over its time: %d", a.Code)
	}
	if a := s.Do("GET", "/slow?timeout=soon", ""); a.Code != 400 || !strings.Contains(a.Body, "invalid timeout specified in the request URL") {
		t.Errorf("a bad timeout: %d %s", a.Code, a.Body)
	}
	if a := s.Do("GET", "/api/v1/pods?labelSelector="+strings.Repeat("a", 70<<10), ""); a.Code != http.StatusRequestURITooLong {
		t.Errorf("a long URL: %d", a.Code)
	}
	if a := s.Do("OPTIONS", "/api/v1/pods", "", "Origin", "https://ui.example.com"); a.Code != 204 || a.Header.Get("Access-Control-Allow-Origin") != "https://ui.example.com" {
		t.Errorf("a preflight: %d %v", a.Code, a.Header)
	}
	if a := s.Do("GET", "/version", "", "Origin", "https://evil.example.com"); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin may read: %v", a.Header)
	}
	if a := s.Do("GET", "/version", "", "Audit-Id", "mine"); a.Header.Get("Audit-Id") != "mine" || !strings.Contains(a.Body, `"gitVersion": "v1.36`) {
		t.Errorf("%v %s", a.Header, a.Body)
	}
	if a := s.Do("GET", "/api/v1/endpoints", ""); a.Header.Get("Warning") != `299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"` {
		t.Errorf("warning: %v", a.Header)
	}
}

// TestHealthNamesItsChecks and tells those who ask for one, or for all but one.
func TestHealthNamesItsChecks(t *testing.T) {
	t.Parallel()
	s := Start(t)
	for path, want := range map[string]string{
		"/readyz": "ok", "/livez": "ok", "/healthz": "ok", "/readyz/etcd": "ok",
		"/livez?verbose":               "[+]ping ok\n[+]log ok\n[+]etcd ok\nlivez check passed\n",
		"/livez?verbose&exclude=etcd":  "[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\nlivez check passed\n",
		"/livez?verbose&exclude=other": "[+]ping ok\n[+]log ok\n[+]etcd ok\nwarn: some health checks cannot be excluded: no matches for \"other\"\nlivez check passed\n",
	} {
		if a := s.Do("GET", path, ""); a.Code != 200 || a.Body != want {
			t.Errorf("%s: %d %q, want %q", path, a.Code, a.Body, want)
		}
	}
	if a := s.Do("GET", "/readyz/nothing", ""); a.Code != 404 {
		t.Errorf("a check that is not there: %d", a.Code)
	}
	metrics := s.Do("GET", "/metrics", "").Body
	for _, name := range []string{"apiserver_request_total{", "apiserver_request_duration_seconds_bucket{", "apiserver_response_sizes_sum{", "apiserver_current_inflight_requests{"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("no metric %s", name)
		}
	}
}
