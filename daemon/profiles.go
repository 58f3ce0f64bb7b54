package daemon

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"

	"github.com/spf13/pflag"
)

// ProfileFlags are upstream's flags about Go's profiles on a component's port.
type ProfileFlags struct {
	// Serve is --profiling.
	Serve bool
	waits bool
}

// AddFlags declares them.
func (f *ProfileFlags) AddFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&f.Serve, "profiling", true, "serve profiles at /debug/pprof/")
	flags.BoolVar(&f.waits, "contention-profiling", false, "with --profiling, note where goroutines wait for each other")
}

// Over returns a handler that serves profiles, if they are wanted, and otherwise what next does.
func (f *ProfileFlags) Over(next http.Handler) http.Handler {
	if !f.Serve {
		return next
	}
	if f.waits {
		runtime.SetBlockProfileRate(1)
	}
	profiles := http.NewServeMux()
	for path, handler := range Profiling() {
		profiles.Handle(path, handler)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/debug/pprof" || strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
			profiles.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Profiling is the paths of Go's profiles. Who may see them is up to the server.
func Profiling() map[string]http.Handler {
	return map[string]http.Handler{
		"/debug/pprof/": http.HandlerFunc(pprof.Index), "/debug/pprof": http.HandlerFunc(pprof.Index),
		"/debug/pprof/profile": http.HandlerFunc(pprof.Profile), "/debug/pprof/symbol": http.HandlerFunc(pprof.Symbol),
		"/debug/pprof/trace": http.HandlerFunc(pprof.Trace),
	}
}
