package h2

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"
)

// request makes a stream whose handler is the connection's.
func (c *conn) testStream() *stream {
	s := c.newStream(1)
	s.request, s.cancel = blank.WithContext(context.Background()), func() {}
	s.response.begins(s.request, false)
	c.running++
	return s
}

// TestWorkers: as many requests run at a time as there are; a few workers stay for the next, and go when none comes.
func TestWorkers(t *testing.T) {
	t.Parallel()
	const many = 3 * idleWorkers
	var all, over sync.WaitGroup
	all.Add(many)
	over.Add(2 * many)
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == "WAIT" {
			all.Done()
			all.Wait()
		}
		over.Done()
	})
	w := &workers{patience: time.Millisecond}
	run := func(method string) {
		c := &conn{server: &Server{}, handler: handler, streams: map[uint32]*stream{}, failed: errClosed}
		c.out.init()
		s := c.testStream()
		s.request.Method, s.failed = method, errClosed
		w.run(s)
	}
	for range many {
		run("WAIT")
	}
	all.Wait()
	for range many {
		run("GET")
	}
	over.Wait()
	for {
		w.mu.Lock()
		idle := len(w.idle)
		w.mu.Unlock()
		if idle > idleWorkers {
			t.Fatalf("%d idle workers", idle)
		}
		if idle == 0 {
			return
		}
		runtime.Gosched()
	}
}
