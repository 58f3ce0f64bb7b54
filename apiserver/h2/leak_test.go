package h2

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestNothingRemains: when clients have gone, in whatever state, the server has no connection, no handler and, after a while, no worker.
func TestNothingRemains(t *testing.T) {
	t.Parallel()
	server := &Server{workers: workers{patience: time.Millisecond}}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		switch r.URL.Path {
		case "/wait":
			<-r.Context().Done()
		case "/body":
			_, _ = io.Copy(io.Discard, r.Body)
		case "/write":
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}
	}))
	s.EnableHTTP2 = true
	s.Listener = Listen(s.Listener)
	server.Configure(s.Config)
	s.StartTLS()
	defer s.Close()
	var all []*conn
	for n := range 5 {
		transport := s.Client().Transport.(*http.Transport).Clone()
		client := &http.Client{Transport: transport}
		var open []io.Closer
		for _, path := range []string{"/wait", "/write", "/body"} {
			body, sending := io.Pipe()
			open = append(open, sending)
			answer, err := client.Post(s.URL+path, fmt.Sprint("x/", n), body)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, answer.Body)
		}
		server.mu.Lock()
		for c := range server.conns {
			all = append(all, c)
			c.under.Close() // as if the client's machine was switched off
		}
		server.mu.Unlock()
		for _, one := range open {
			one.Close()
		}
		transport.CloseIdleConnections()
	}
	for left := -1; left != 0; time.Sleep(time.Millisecond) {
		server.mu.Lock()
		left = len(server.conns)
		server.mu.Unlock()
		server.workers.mu.Lock()
		left += len(server.workers.idle)
		server.workers.mu.Unlock()
		for _, c := range all {
			c.mu.Lock()
			left += c.running + len(c.streams) + c.out.bytes
			c.mu.Unlock()
		}
	}
}

// TestRequestAfterFailure: a request that was read while writing failed is not taken. It used to begin, and waited for room at full speed.
func TestRequestAfterFailure(t *testing.T) {
	t.Parallel()
	client, ours := net.Pipe()
	defer client.Close()
	c := newConn(&Server{}, ours, ours, http.NotFoundHandler(), t.Context())
	c.fail(io.ErrClosedPipe)
	frame := &http2.MetaHeadersFrame{HeadersFrame: &http2.HeadersFrame{FrameHeader: http2.FrameHeader{StreamID: 1, Flags: http2.FlagHeadersEndStream}}}
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/"}} {
		frame.Fields = append(frame.Fields, hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	if err := c.take(frame); !errors.Is(err, io.ErrClosedPipe) || len(c.streams) > 0 || c.running > 0 {
		t.Errorf("%v, %d streams, %d handlers", err, len(c.streams), c.running)
	}
}
