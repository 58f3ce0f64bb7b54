package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// servingFlags are those about the port and what every answer of it has.
type servingFlags struct {
	noHTTP2, sharePort, logs bool
	strict                   []string
	curves                   []int32
	externalName             string
	bytesPerSecond           int64
	disabledMetrics          []string
}

func (f *servingFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.noHTTP2, "disable-http2-serving", false, "serve HTTP/1.1 alone")
	flags.BoolVar(&f.sharePort, "permit-port-sharing", false, "let several processes listen on the port (SO_REUSEPORT)")
	flags.StringSliceVar(&f.strict, "strict-transport-security-directives", nil, "directives of the header Strict-Transport-Security: max-age=seconds, includeSubDomains, preload; no header without")
	flags.Int32SliceVar(&f.curves, "tls-curve-preferences", nil, "key exchanges to allow, by the numbers of Go's crypto/tls CurveID; Go's own choice if not given")
	flags.StringVar(&f.externalName, "external-hostname", "", "host by which documents name this server to clients; its advertised address if not given")
	flags.Int64Var(&f.bytesPerSecond, "max-connection-bytes-per-sec", 0, "bytes a second that a connection through this server (exec, port-forward, proxy) may pass; 0: any")
	flags.BoolVar(&f.logs, "enable-logs-handler", false, "serve the files of /var/log at /logs/")
	_ = flags.MarkDeprecated("enable-logs-handler", "Log handler functionality is deprecated") // it is declared just above
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
	for _, id := range f.curves {
		if !knownCurve(id) {
			errs = append(errs, fmt.Errorf("--tls-curve-preferences: %d is no key exchange of Go's crypto/tls", id))
		}
	}
	if f.bytesPerSecond < 0 {
		errs = append(errs, errors.New("--max-connection-bytes-per-sec can not be negative"))
	}
	return errors.Join(errs...)
}

// knownCurve says whether crypto/tls has a name for a key exchange.
func knownCurve(id int32) bool {
	return id > 0 && id <= 1<<16-1 && !strings.HasPrefix(tls.CurveID(id).String(), "CurveID(")
}

// apply puts the flags into a server's settings.
func (f *servingFlags) apply(config *Config, standard *Standard) {
	config.NoHTTP2, config.StrictTransport = f.noHTTP2, strings.Join(f.strict, "; ")
	config.DisabledMetrics = f.disabledMetrics
	standard.ExternalName, standard.BytesPerSecond = f.externalName, f.bytesPerSecond
	if len(f.curves) > 0 {
		if config.TLS == nil {
			config.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		for _, id := range f.curves {
			config.TLS.CurvePreferences = append(config.TLS.CurvePreferences, tls.CurveID(id))
		}
	}
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

// listen opens the port.
func (f *servingFlags) listen(ctx context.Context, host string, port int) (net.Listener, error) {
	var config net.ListenConfig
	if f.sharePort {
		config.Control = func(_, _ string, conn syscall.RawConn) (err error) {
			return errors.Join(conn.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}), err)
		}
	}
	return config.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}
