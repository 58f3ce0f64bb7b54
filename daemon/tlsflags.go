package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// TLSFlags are upstream's flags about what clients of a port must be able to.
type TLSFlags struct {
	version string
	suites  []string
	curves  []int32
}

// AddFlags declares them.
func (f *TLSFlags) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.version, "tls-min-version", "", "VersionTLS12 or VersionTLS13; the first if not given")
	flags.StringSliceVar(&f.suites, "tls-cipher-suites", nil, "cipher suites of TLS 1.2, by Go's names; a good choice if not given")
	flags.Int32SliceVar(&f.curves, "tls-curve-preferences", nil, "key exchanges to allow, by the numbers of Go's crypto/tls CurveID; Go's own choice if not given")
}

// Config is a new configuration that keeps to them. Errors name the flag, all at once.
func (f *TLSFlags) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var errs []error
	switch f.version {
	case "", "VersionTLS12":
	case "VersionTLS13":
		config.MinVersion = tls.VersionTLS13
	default:
		errs = append(errs, fmt.Errorf("--tls-min-version: %q is neither VersionTLS12 nor VersionTLS13", f.version))
	}
	all := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	for _, name := range f.suites {
		i := slices.IndexFunc(all, func(suite *tls.CipherSuite) bool { return suite.Name == name })
		if i < 0 {
			errs = append(errs, fmt.Errorf("--tls-cipher-suites: %q is not known", name))
			continue
		}
		config.CipherSuites = append(config.CipherSuites, all[i].ID)
	}
	for _, id := range f.curves {
		if !knownCurve(id) {
			errs = append(errs, fmt.Errorf("--tls-curve-preferences: %d is no key exchange of Go's crypto/tls", id))
			continue
		}
		config.CurvePreferences = append(config.CurvePreferences, tls.CurveID(id))
	}
	return config, errors.Join(errs...)
}

// knownCurve says whether crypto/tls has a name for a key exchange.
func knownCurve(id int32) bool {
	return id > 0 && id <= 1<<16-1 && !strings.HasPrefix(tls.CurveID(id).String(), "CurveID(")
}

// Listen opens a TCP port. share lets other processes listen on it too (--permit-port-sharing).
func Listen(ctx context.Context, address string, share bool) (net.Listener, error) {
	var config net.ListenConfig
	if share {
		config.Control = func(_, _ string, conn syscall.RawConn) (err error) {
			return errors.Join(conn.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}), err)
		}
	}
	return config.Listen(ctx, "tcp", address)
}
