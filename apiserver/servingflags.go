package apiserver

import (
	"errors"
	"net/http"
	"strings"

	"github.com/spf13/pflag"
)

// servingFlags are those about the port and what every answer of it has.
type servingFlags struct {
	noHTTP2, sharePort, logs bool
	strict                   []string
	externalName             string
	bytesPerSecond           int64
	disabledMetrics          []string
}

func (f *servingFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.noHTTP2, "disable-http2-serving", false, "serve HTTP/1.1 alone")
	flags.BoolVar(&f.sharePort, "permit-port-sharing", false, "let several processes listen on the port (SO_REUSEPORT)")
	flags.StringSliceVar(&f.strict, "strict-transport-security-directives", nil, "directives of the header Strict-Transport-Security: max-age=seconds, includeSubDomains, preload; no header without")
	flags.StringVar(&f.externalName, "external-hostname", "", "host by which documents name this server to clients; its advertised address if not given")
	flags.Int64Var(&f.bytesPerSecond, "max-connection-bytes-per-sec", 0, "bytes a second that a connection through this server (exec, port-forward, proxy) may pass; 0: any")
	flags.BoolVar(&f.logs, "enable-logs-handler", false, "serve the files of /var/log at /logs/")
	deprecate(flags, "enable-logs-handler", "Log handler functionality is deprecated")
	flags.StringSliceVar(&f.disabledMetrics, "disabled-metrics", nil, "names of metrics not to show")
}

// check is every error of the values, each naming its flag.
func (f *servingFlags) check() error {
	var errs []error
	for _, directive := range f.strict {
		switch name, age, _ := strings.Cut(directive, "="); {
		case strings.TrimSpace(directive) == "":
			errs = append(errs, errors.New("empty value in --strict-transport-security-directives"))
		case directive == "includeSubDomains", directive == "preload", name == "max-age" && age != "" && !strings.Contains(age, "="):
		default:
			errs = append(errs, errors.New("--strict-transport-security-directives invalid, allowed values: max-age=expireTime, includeSubDomains, preload."+
				" see https://tools.ietf.org/html/rfc6797#section-6.1 for more information"))
		}
	}
	if f.bytesPerSecond < 0 {
		errs = append(errs, errors.New("--max-connection-bytes-per-sec can not be negative"))
	}
	return errors.Join(errs...)
}

// apply puts the flags into a server's settings.
func (f *servingFlags) apply(config *Config, standard *Standard) {
	config.NoHTTP2, config.StrictTransport = f.noHTTP2, strings.Join(f.strict, "; ")
	config.DisabledMetrics = f.disabledMetrics
	standard.ExternalName, standard.BytesPerSecond = f.externalName, f.bytesPerSecond
	if f.logs {
		if config.Paths == nil {
			config.Paths = map[string]http.Handler{}
		}
		config.Paths["/logs"] = http.RedirectHandler("/logs/", http.StatusMovedPermanently)
		config.Paths["/logs/"] = http.StripPrefix("/logs", http.FileServer(http.Dir(logFolder)))
	}
}

// logFolder is what /logs/ shows.
const logFolder = "/var/log"
