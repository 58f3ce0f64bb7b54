package apiserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/septet-io/septet/resource"
)

// Local returns the configuration of a client in this process: its requests pass the whole chain as the given user, without
// sockets or TLS. Watches stream.
func (s *Server) Local(user resource.User) *rest.Config {
	return &rest.Config{
		Host: "http://kube-apiserver.local", QPS: -1, UserAgent: user.Name, WarningHandler: rest.NoWarnings{}, // there is nobody to read them
		Transport: &localTransport{handler: s, user: &user},
	}
}

// localTransport is an http.RoundTripper that calls a handler.
type localTransport struct {
	handler http.Handler
	user    *resource.User
}

// localCaller is in the context of requests that come from this process: who makes them is known.
type localCaller struct {
	user *resource.User
	// unread says that nobody looks at the answer of a success.
	unread bool
}

// callerOf returns nil for requests from elsewhere.
func callerOf(ctx context.Context) *localCaller {
	caller, _ := ctx.Value(localCaller{}).(*localCaller)
	return caller
}

// errBrokenOff is an answer that the handler could not finish, as a connection that ends too early tells a remote client.
var errBrokenOff = fmt.Errorf("the answer was broken off: %w", io.ErrUnexpectedEOF)

// handle calls the handler as an HTTP server does, which takes one panic for the handler's way to break an answer off.
func (t *localTransport) handle(w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		if cause := recover(); cause == http.ErrAbortHandler {
			err = errBrokenOff
		} else if cause != nil {
			panic(cause)
		}
	}()
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	t.handler.ServeHTTP(w, r)
	return nil
}

// RoundTrip answers writes on the caller's goroutine; of reads it returns when the handler has written its header and either ended or flushed.
func (t *localTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if whole(r) {
		return t.serveWhole(r)
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), localCaller{}, &localCaller{user: t.user}))
	served := r.Clone(ctx)
	answer := &localAnswer{header: http.Header{}, ready: make(chan struct{}), cancel: cancel}
	answer.arrived.L = &answer.mu
	go func() {
		defer cancel()
		answer.end(t.handle(answer, served))
	}()
	select {
	case <-answer.ready:
		return answer.response(r), nil
	case <-ctx.Done():
		// The handler may have ended just now, which also cancels.
		select {
		case <-answer.ready:
			return answer.response(r), nil
		default:
		}
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		<-answer.ready
		return answer.response(r), nil
	}
}

// localAnswer is a ResponseWriter whose body is read at the same time. The handler waits when too much is unread.
type localAnswer struct {
	header http.Header
	cancel context.CancelFunc
	ready  chan struct{} // closed when the response may be looked at

	mu      sync.Mutex
	arrived sync.Cond // something changed
	// All below is guarded by mu.
	code   int
	shown  bool // ready is closed
	body   bytes.Buffer
	ended  bool
	broken error // why it ended before it was whole
	closed bool  // by the reader
}

// maxUnread is how far a stream may be ahead of its reader.
const maxUnread = 1 << 20

// Header is http.ResponseWriter.
func (a *localAnswer) Header() http.Header { return a.header }

// WriteHeader is http.ResponseWriter.
func (a *localAnswer) WriteHeader(code int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.code == 0 {
		a.code = code
	}
}

// Write is http.ResponseWriter.
func (a *localAnswer) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.code == 0 {
		a.code = http.StatusOK
	}
	for a.shown && a.body.Len() > maxUnread && !a.closed {
		a.arrived.Wait()
	}
	if a.closed {
		return 0, io.ErrClosedPipe
	}
	a.body.Write(p)
	if a.shown || a.body.Len() > maxUnread {
		a.show()
	}
	return len(p), nil
}

// Flush lets the reader see what is there.
func (a *localAnswer) Flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.code == 0 {
		a.code = http.StatusOK
	}
	a.show()
}

// show wakes the reader; mu is held.
func (a *localAnswer) show() {
	if !a.shown {
		a.shown = true
		close(a.ready)
	}
	a.arrived.Broadcast()
}

func (a *localAnswer) end(broken error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = broken
	if a.code == 0 {
		a.code = http.StatusOK
	}
	a.ended = true
	a.show()
}

func (a *localAnswer) response(r *http.Request) *http.Response {
	a.mu.Lock()
	defer a.mu.Unlock()
	length := int64(-1)
	if a.ended && a.broken == nil {
		length = int64(a.body.Len())
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.code, http.StatusText(a.code)), StatusCode: a.code,
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: a.header, ContentLength: length, Body: (*localBody)(a), Request: r,
	}
}

// localBody is the reader's side.
type localBody localAnswer

// Read is io.Reader.
func (b *localBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.body.Len() == 0 && !b.ended && !b.closed {
		b.arrived.Wait()
	}
	if b.closed {
		return 0, io.ErrClosedPipe
	}
	switch {
	case b.body.Len() > 0:
	case b.broken != nil:
		return 0, b.broken
	default:
		return 0, io.EOF
	}
	n, err := b.body.Read(p)
	b.arrived.Broadcast()
	return n, err
}

// Close ends the request.
func (b *localBody) Close() error {
	b.cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.arrived.Broadcast()
	return nil
}

// ServeAs answers a request as the given user, through the whole chain but without authentication: for callers in this process.
func (s *Server) ServeAs(w http.ResponseWriter, r *http.Request, user resource.User) {
	s.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), localCaller{}, &localCaller{user: &user})))
}
