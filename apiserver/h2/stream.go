package h2

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// stream is one request and its answer. Guarded by conn.mu, but for response, which is the handler's.
type stream struct {
	c        *conn
	id       uint32
	request  *http.Request
	cancel   context.CancelFunc
	response response

	// changed tells the handler of window, room, a piece of body, or the end.
	changed sync.Cond
	// queued: the handler waits in output.queue.
	queued bool
	// window is how much of the answer the client takes.
	window int64
	// deadline, if timed, is until when the client may make the answer wait, forever if zero; see http.ResponseController.
	deadline time.Time
	timed    bool
	// failed is why nothing can be sent or read any more; nil otherwise.
	failed error
	// answered: END_STREAM was sent.
	answered bool

	body body
}

var (
	errClosed   = errors.New("http2: the request is over")
	errReset    = errors.New("http2: the client has reset the stream")
	errBodyDone = http.ErrBodyReadAfterClose
)

func (c *conn) newStream(id uint32) *stream {
	s := &stream{c: c, id: id, window: c.out.firstWindow}
	s.changed.L = &c.mu
	s.response.s = s
	s.body.window = c.server.streamBuffer()
	return s
}

// begin lets the request that waits be handled.
func (c *conn) begin() {
	s := c.waiting
	c.waiting = nil
	c.server.workers.run(s)
}

// handle runs the handler.
func (c *conn) handle(s *stream) {
	defer s.cancel()
	defer func() {
		cause := recover()
		if cause != nil && cause != http.ErrAbortHandler {
			c.server.logf("http2: panic serving %s: %v\n%s", c.remote, cause, debug.Stack())
		}
		c.end(s, cause != nil)
	}()
	if s.response.refused {
		http.Error(&s.response, "the request's header is too long", http.StatusRequestHeaderFieldsTooLarge)
		return
	}
	c.handler.ServeHTTP(&s.response, s.request)
}

// end completes the answer, or breaks it off.
func (c *conn) end(s *stream, broken bool) {
	if !broken {
		s.response.finish()
	}
	s.response.free()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if s.failed == nil {
		switch {
		case !s.answered:
			c.out.reset(s.id, http2.ErrCodeInternal)
			c.left.add(s.id)
		case !s.body.ended: // nobody wants the rest of the body
			c.out.reset(s.id, http2.ErrCodeNo)
			c.left.add(s.id)
		}
		c.drop(s, errClosed)
	}
	c.flush()
}

// drop forgets a stream. What the client has sent on it and nobody has read makes room for other streams.
func (c *conn) drop(s *stream, cause error) {
	if s.failed != nil {
		return
	}
	s.failed = cause
	if cause != errClosed {
		s.cancel()
	}
	delete(c.streams, s.id)
	c.credit(s.body.discard())
	s.changed.Broadcast()
	if len(c.streams) == 0 {
		c.becomeIdle()
		c.closeIfDone()
	}
}

// send adds data to what the connection has to send as the windows and room allow, and waits for them, at most until the deadline
// that the handler has set, else for WriteTimeout without any progress. With end, the answer is complete after it.
func (s *stream) send(data []byte, end bool) error {
	c := s.c
	defer c.out.next()
	var patience patience
	defer patience.stop()
	for {
		if s.failed != nil {
			return s.failed
		}
		n := int(min(int64(len(data)), s.window, c.out.window, int64(c.out.frameSize), largestData))
		switch {
		case len(data) == 0 || n > 0 && c.out.bytes < enough:
			n = max(n, 0)
			last := end && n == len(data)
			if n > 0 || last {
				c.out.data(s.id, data[:n], last)
			}
			s.window -= int64(n)
			c.out.window -= int64(n)
			data = data[n:]
			if last {
				s.answered = true
			}
			if len(data) == 0 {
				return nil
			}
			patience.stop()
		case !c.out.writing && c.out.bytes > 0:
			c.flush() // the client may wait for it before it makes room
		case patience.over(s):
			c.out.reset(s.id, http2.ErrCodeCancel)
			c.left.add(s.id)
			c.drop(s, os.ErrDeadlineExceeded)
			c.flushSoon()
		case s.window <= 0:
			c.out.next() // somebody else's turn
			s.changed.Wait()
		default:
			c.out.await(s)
		}
	}
}

// patience bounds how long a stream waits for its client.
type patience struct {
	until time.Time
	timer *time.Timer
}

// over says whether it is at its end; if not, the stream will be woken then.
func (p *patience) over(s *stream) bool {
	until := s.deadline
	switch {
	case s.timed && until.IsZero():
		return false
	case !s.timed && p.until.IsZero():
		until = time.Now().Add(s.c.server.writeTimeout())
	case !s.timed:
		until = p.until
	}
	if !until.Equal(p.until) {
		p.stop()
		p.until = until
		p.timer = time.AfterFunc(time.Until(until), func() {
			s.c.mu.Lock()
			defer s.c.mu.Unlock()
			s.changed.Broadcast()
		})
	}
	return !time.Now().Before(until)
}

// stop ends the wait; another may begin.
func (p *patience) stop() {
	if p.timer != nil {
		p.timer.Stop()
		*p = patience{}
	}
}

// put adds data without waiting, if the windows and the room up to a bound allow for all of it; else it does nothing and returns false.
// The part of number lent is not copied.
func (s *stream) put(bound, lent int, parts ...[]byte) bool {
	o := &s.c.out
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	if s.failed != nil || s.answered || size == 0 || int64(size) > min(s.window, o.window) || o.bytes+size > bound+largestData || len(o.queue) > 0 {
		return false
	}
	s.window -= int64(size)
	o.window -= int64(size)
	room, most := 0, min(o.frameSize, largestData)
	for i, part := range parts {
		for len(part) > 0 {
			if room == 0 {
				room = min(size, most)
				o.head(room, http2.FrameData, 0, s.id)
			}
			n := min(room, len(part))
			if i == lent {
				o.lend(part[:n])
			} else {
				o.add(part[:n])
			}
			part, room, size = part[n:], room-n, size-n
		}
	}
	return true
}

// inflow is how much the client may send on all streams together.
type inflow struct {
	window int
	// read bytes that the client has not been told of.
	read int
}

// credit lets the client send so much more, once it is worth a frame.
func (c *conn) credit(n int) {
	c.in.read += n
	if c.in.read < connectionWait/4 {
		return
	}
	c.out.windowUpdate(0, c.in.read)
	c.in.window += c.in.read
	c.in.read = 0
}

// body is what has come of a request's body.
type body struct {
	declared int64 // by Content-Length; -1: not
	received int64
	bytes    []byte // from at on not read yet
	at       int
	window   int
	read     int  // bytes that the client has not been told of
	ended    bool // END_STREAM has come
	closed   bool // by the handler: what comes is dropped
	expects  bool // the client waits for word that it may send
}

func (b *body) unread() int { return len(b.bytes) - b.at }

func (b *body) discard() int {
	n := b.unread()
	b.bytes, b.at = nil, 0
	return n
}

// take keeps a piece.
func (b *body) take(piece []byte) {
	if b.bytes == nil && b.declared > 0 {
		b.bytes = make([]byte, 0, min(b.declared, int64(b.window+len(piece))))
	}
	b.bytes = append(b.bytes, piece...)
}

// requestBody is a stream's body as its handler sees it.
type requestBody struct{ s *stream }

// Read waits for a piece of the body.
func (r requestBody) Read(p []byte) (int, error) {
	s, c := r.s, r.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &s.body
	if b.expects && !s.response.begun {
		b.expects = false
		if s.failed == nil {
			c.out.interim(s.id, http.StatusContinue, nil)
			c.flush()
		}
	}
	for {
		switch {
		case b.closed:
			return 0, errBodyDone
		case s.failed != nil && s.failed != errClosed && !(b.ended && b.unread() > 0):
			return 0, s.failed
		case b.unread() > 0:
			n := copy(p, b.bytes[b.at:])
			b.at += n
			if b.at == len(b.bytes) {
				b.bytes, b.at = b.bytes[:0], 0
			}
			s.consumed(n)
			return n, nil
		case b.ended:
			return 0, io.EOF
		case s.failed != nil:
			return 0, errBodyDone
		case len(p) == 0:
			return 0, nil
		}
		s.changed.Wait()
	}
}

// consumed lets the client send more.
func (s *stream) consumed(n int) {
	c, b := s.c, &s.body
	if c.failed != nil {
		return
	}
	c.credit(n)
	if b.read += n; !b.ended && s.failed == nil && b.read >= c.server.streamBuffer()/4 {
		c.out.windowUpdate(s.id, b.read)
		b.window += b.read
		b.read = 0
	}
	c.flush()
}

// Close drops what has come and will come.
func (r requestBody) Close() error {
	s := r.s
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.body.closed = true
	s.c.credit(s.body.discard())
	return nil
}
