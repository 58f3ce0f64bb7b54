package apiserver

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// counter is a watcher's connection that counts frames.
type counter struct {
	header http.Header
	frames *atomic.Int64
	opened *sync.WaitGroup
	once   sync.Once
}

func (c *counter) Header() http.Header { return c.header }
func (c *counter) WriteHeader(int)     {}
func (c *counter) Flush()              { c.once.Do(c.opened.Done) }
func (c *counter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' {
			c.frames.Add(1)
		}
	}
	return len(p), nil
}

// BenchmarkWatch is one change delivered to many watchers of a kind: within the process, then over TLS and HTTP/2.
func BenchmarkWatch(b *testing.B) {
	const watchers = 500
	b.Run("handler", func(b *testing.B) {
		server := benchServer(b)
		var frames atomic.Int64
		var opened sync.WaitGroup
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		opened.Add(watchers)
		for range watchers {
			r := httptest.NewRequest("GET", "/api/v1/namespaces/bench/configmaps?watch=1", nil).WithContext(ctx)
			go server.ServeAs(&counter{header: http.Header{}, frames: &frames, opened: &opened}, r, user)
		}
		opened.Wait()
		changeAndWait(b, server, &frames, watchers)
	})
	b.Run("tls", func(b *testing.B) {
		server := benchServer(b)
		var frames atomic.Int64
		var opened sync.WaitGroup
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		opened.Add(watchers)
		client, err := rest.HTTPClientFor(server.Admin())
		if err != nil {
			b.Fatal(err)
		}
		for range watchers {
			go func() {
				r, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/v1/namespaces/bench/configmaps?watch=1", nil)
				answer, err := client.Do(r)
				opened.Done()
				if err != nil {
					b.Error(err)
					return
				}
				defer answer.Body.Close()
				for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
					frames.Add(1)
				}
			}()
		}
		opened.Wait()
		changeAndWait(b, server, &frames, watchers)
	})
}

// changeAndWait makes a change at a time and waits until everybody has heard of it.
func changeAndWait(b *testing.B, server *Server, frames *atomic.Int64, watchers int64) {
	n := int64(0)
	for b.Loop() {
		n++
		server.Do("POST", "/api/v1/namespaces/bench/configmaps", fmt.Sprintf(`{"metadata":{"name":"c%d"},"data":{"a":"b"}}`, n))
		for frames.Load() < n*watchers {
			// Watchers are served by other goroutines.
			time.Sleep(20 * time.Microsecond)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*watchers), "ns/delivery")
}
