// Package conntrack has what github.com/prometheus/common/config calls of the module of this name, which counts and traces the
// connections that an HTTP client dials. Nothing in septet makes such a client: CoreDNS links that package for a type or two.
// The module itself links golang.org/x/net/trace, whose templates make the linker keep every method of every type, which is an
// eighth of septet (docs/decisions/binary-size.md). Here connections are dialed, and neither counted nor traced.
package conntrack

import (
	"context"
	"net"
)

// DialContext has the form of net.Dialer.DialContext.
type DialContext = func(ctx context.Context, network, address string) (net.Conn, error)

// DialerOption is an option of NewDialContextFunc.
type DialerOption func(*DialContext)

// DialWithDialContextFunc dials by dial.
func DialWithDialContextFunc(dial DialContext) DialerOption {
	return func(to *DialContext) { *to = dial }
}

// DialWithTracing has no effect.
func DialWithTracing() DialerOption { return func(*DialContext) {} }

// DialWithName has no effect: it names what is counted and traced.
func DialWithName(string) DialerOption { return func(*DialContext) {} }

// NewDialContextFunc returns what dials: a net.Dialer, if no option says otherwise.
func NewDialContextFunc(options ...DialerOption) DialContext {
	dial := (&net.Dialer{}).DialContext
	for _, option := range options {
		option(&dial)
	}
	return dial
}
