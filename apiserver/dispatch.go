package apiserver

import (
	"net/http"
	"sort"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/daemon"
)

// dispatch hands the request to what serves it: a resource, discovery, or a path.
func (s *Server) dispatch(c *call) (bool, error) {
	info := &c.state.Info
	if s.aggregator != nil {
		if elsewhere := s.aggregator.Find(info); elsewhere != nil {
			elsewhere.ServeHTTP(&c.recorder, c.r)
			return true, nil
		}
	}
	if info.IsResource {
		gvr := schema.GroupVersionResource{Group: info.Group, Version: info.Version, Resource: info.Resource}
		if found := s.Resources.Get(gvr); found != nil && (!found.Hidden || local(c.r)) {
			found.Serve(&c.recorder, c.r, &c.state)
			return true, nil
		}
	}
	if handler := s.paths.find(info); handler != nil {
		handler.ServeHTTP(&c.recorder, c.r)
		return true, nil
	}
	if info.Prefix != "" && !info.IsResource && s.discovery.Serve(&c.recorder, c.r) {
		return true, nil
	}
	return false, notFound()
}

// notFound is the answer to a path that nothing is served at.
func notFound() error {
	return &statusError{metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
		Message: "the server could not find the requested resource", Details: &metav1.StatusDetails{},
	}}
}

// statusError is a Status as an error.
type statusError struct{ status metav1.Status }

// Error is the message.
func (e *statusError) Error() string { return e.status.Message }

// Status is what the client is sent.
func (e *statusError) Status() metav1.Status { return e.status }

// pathTable has handlers of paths that are no resources. Handlers may be added at any time.
type pathTable struct {
	mu sync.RWMutex
	// exact is guarded by mu: handlers by path; those by prefix end with a slash.
	exact map[string]http.Handler
}

func (p *pathTable) handle(path string, handler http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exact == nil {
		p.exact = map[string]http.Handler{}
	}
	p.exact[path] = handler
}

// find returns the handler of a path, or of the longest prefix of it.
func (p *pathTable) find(info *request.Info) http.Handler {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if handler := p.exact[info.Path]; handler != nil {
		return handler
	}
	for path := strings.TrimSuffix(info.Path, "/"); path != ""; {
		if handler := p.exact[path+"/"]; handler != nil {
			return handler
		}
		path = path[:strings.LastIndexByte(path, '/')]
	}
	return nil
}

// list returns all paths, sorted, for the index.
func (p *pathTable) list() []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	paths := make([]string, 0, len(p.exact))
	for path := range p.exact {
		if path != "/" {
			paths = append(paths, strings.TrimSuffix(path, "/"))
		}
	}
	sort.Strings(paths)
	return paths
}

// Handle serves a path that is no resource, or all below a path that ends with a slash. Requests pass the whole chain.
func (s *Server) Handle(path string, handler http.Handler) { s.paths.handle(path, handler) }

// addPaths adds the paths that every server has.
func (s *Server) addPaths() {
	s.Handle("/", http.HandlerFunc(s.index))
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		s.Handle(path, s.Health.handler(path))
		s.Handle(path+"/", s.Health.handler(path))
	}
	s.Handle("/openapi/v2", http.HandlerFunc(s.OpenAPI.ServeV2))
	s.Handle("/openapi/v3", http.HandlerFunc(s.OpenAPI.ServeV3))
	s.Handle("/openapi/v3/", http.HandlerFunc(s.OpenAPI.ServeV3))
	s.Handle("/version", http.HandlerFunc(serveVersion))
	s.Handle("/metrics", s.metricsHandler())
	s.Handle("/debug/journal", http.HandlerFunc(s.serveJournal))
	for path, handler := range s.config.Paths {
		s.Handle(path, handler)
	}
}

// index lists what can be asked for.
func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		request.Error(w, r, notFound())
		return
	}
	paths := []string{"/api", "/apis"}
	seen := map[string]bool{}
	for one := range s.Resources.All().Shown() {
		gv := one.GroupVersionKind.GroupVersion()
		for _, path := range groupPaths(gv) {
			if !seen[path] {
				seen[path] = true
				paths = append(paths, path)
			}
		}
	}
	paths = append(paths, s.paths.list()...)
	sort.Strings(paths)
	writeJSON(w, map[string][]string{"paths": paths})
}

func groupPaths(gv schema.GroupVersion) []string {
	if gv.Group == "" {
		return []string{"/api/" + gv.Version}
	}
	return []string{"/apis/" + gv.Group, "/apis/" + gv.Group + "/" + gv.Version}
}

func serveVersion(w http.ResponseWriter, _ *http.Request) { writeJSON(w, daemon.Version()) }
