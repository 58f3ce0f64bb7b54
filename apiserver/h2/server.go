// Package h2 serves HTTP/2 (RFC 9113) over TLS for an http.Server. It is made for thousands of long streams and many
// short requests: whoever has something to send puts frames into a buffer of the connection, and whoever comes first writes all
// that is there as one. So an answer costs no hand-over between goroutines, and events for a hundred watches of one connection
// are a few large TLS records. Reading frames and HPACK are golang.org/x/net/http2's.
//
// What net/http's own server does and this one does not: server push, priorities, deadlines for reading a single stream, HTTP/2 without TLS.
package h2

import (
	"context"
	"crypto/tls"
	"log"
	"net/http"
	"sync"
	"time"
)

// Server is HTTP/2 for an http.Server. The zero value of a bound is its default.
type Server struct {
	// MaxStreams bounds the requests at a time over one connection; 250 if zero.
	MaxStreams int
	// StreamBuffer is how many bytes of a request's body are taken before somebody reads them; 256 KiB if zero.
	StreamBuffer int
	// MaxHeaderBytes bounds a request's header, each field counted with 32 bytes more; 1 MiB if zero.
	MaxHeaderBytes int
	// IdleTimeout is after how long a connection without requests is closed; never if zero.
	IdleTimeout time.Duration
	// WriteTimeout is how long a client may take nothing of what it is sent: neither from the connection, which ends then, nor by the
	// window of a stream whose handler has set no deadline; a minute if zero.
	WriteTimeout time.Duration
	// ErrorLog is told of panics; the log package's standard logger if nil.
	ErrorLog *log.Logger

	workers workers

	mu     sync.Mutex
	conns  map[*conn]struct{}
	ending bool
}

// Configure makes an http.Server hand over its HTTP/2 connections; call it before Serve, once.
func (s *Server) Configure(hs *http.Server) {
	hs.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": s.serve}
	hs.RegisterOnShutdown(s.shutdown)
}

// serve serves one connection until it ends.
func (s *Server) serve(_ *http.Server, secure *tls.Conn, handler http.Handler) {
	base := context.Background()
	if h, ok := handler.(interface{ BaseContext() context.Context }); ok {
		base = h.BaseContext()
	}
	c := newConn(s, secure, secure.NetConn(), handler, base)
	c.state = secure.ConnectionState()
	if !s.add(c) {
		secure.Close()
		return
	}
	defer s.remove(c)
	c.serve()
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return false
	}
	if s.conns == nil {
		s.conns = map[*conn]struct{}{}
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *Server) writeTimeout() time.Duration {
	if s.WriteTimeout > 0 {
		return s.WriteTimeout
	}
	return time.Minute
}

// shutdown lets each connection end with its last request.
func (s *Server) shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	for c := range s.conns {
		c.endGracefully()
	}
}

func (s *Server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

// or is value, or what it is by default.
func or(value, otherwise int) int {
	if value > 0 {
		return value
	}
	return otherwise
}

func (s *Server) maxStreams() int   { return or(s.MaxStreams, 250) }
func (s *Server) streamBuffer() int { return or(s.StreamBuffer, 256<<10) }
func (s *Server) maxHeader() int    { return or(s.MaxHeaderBytes, 1<<20) }
