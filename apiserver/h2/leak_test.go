package h2

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
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
