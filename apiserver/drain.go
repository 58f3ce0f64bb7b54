package apiserver

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"
)

// The end of a server, in order: it is no longer ready but serves on for ShutdownDelay, so that load balancers notice; then it takes no
// new requests, lets those under way end, ends watches, and closes its connections.

// drain counts requests under way that do not run long by nature. It costs an addition each.
type drain struct {
	// refusing is set when no new requests are taken.
	refusing atomic.Bool
	inFlight atomic.Int64
	// empty is closed when refusing is set and nothing is in flight.
	empty chan struct{}
	once  sync.Once
}

// enter lets a request in, unless the server ends.
func (d *drain) enter() bool {
	d.inFlight.Add(1)
	if !d.refusing.Load() {
		return true
	}
	d.leave()
	return false
}

func (d *drain) leave() {
	if d.inFlight.Add(-1) == 0 && d.refusing.Load() {
		d.once.Do(func() { close(d.empty) })
	}
}

// refuse takes no new requests and waits until those under way have ended, for at most limit.
func (d *drain) refuse(limit time.Duration) {
	d.refusing.Store(true)
	d.inFlight.Add(1) // so that leave sees the end even if nothing is in flight
	d.leave()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-d.empty:
	case <-timer.C:
		klog.V(1).InfoS("Requests under way are broken off", "requests", d.inFlight.Load())
	}
}

// refuse answers requests that come when the server takes none any more. Those who look after the server itself are let in, and this
// process's own components, which end before it.
func (s *Server) refuse(c *call) (bool, error) {
	if longRunning(&c.state.Info) {
		if !s.drained.refusing.Load() || isWatched(c.r.URL.Path) || local(c.r) {
			return false, nil
		}
	} else if isWatched(c.r.URL.Path) || local(c.r) {
		return false, nil
	} else if s.drained.enter() {
		c.after = append(c.after, s.drained.leave)
		return false, nil
	}
	header := c.recorder.Header()
	if s.config.ShutdownSendRetryAfter {
		header.Set("Connection", "close")
		header.Set("Retry-After", "5")
		http.Error(&c.recorder, "The apiserver is shutting down, please try again later.", http.StatusTooManyRequests)
		return true, nil
	}
	header.Set("Retry-After", "1")
	return false, apierrors.NewServiceUnavailable("apiserver is shutting down")
}

// isWatched are the paths by which others see how the server is doing.
func isWatched(path string) bool {
	for _, prefix := range [...]string{"/readyz", "/livez", "/healthz", "/metrics"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
