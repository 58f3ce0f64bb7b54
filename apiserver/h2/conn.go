package h2

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// conn is one connection. One goroutine reads frames and never waits for the client to read; each request has a goroutine
// for its handler, which writes for itself (output.go).
type conn struct {
	server  *Server
	secure  net.Conn // TLS
	under   net.Conn // below it
	state   tls.ConnectionState
	remote  string
	handler http.Handler
	base    context.Context

	// Of the goroutine that reads.
	reader *bufio.Reader
	framer *http2.Framer
	// waiting is a request that is not handled yet, since its body is about to be read.
	waiting *stream
	bother  bother

	mu      sync.Mutex // guards what follows, and all of stream but what says otherwise
	streams map[uint32]*stream
	last    uint32 // highest stream that the client opened
	running int    // handlers, also of streams that the client has reset
	idle    *time.Timer
	idled   time.Time // since when there is no stream
	ending  bool      // the client was told to open no more streams
	closing bool      // it was told which was the last
	failed  error     // nothing can be sent any more

	out  output
	in   inflow
	left left

	// lately is when a deadline for writing was set; of who is writing.
	lately time.Time
}

// Bounds that the client is told, and those that hold until it has been.
const (
	specWindow     = 1<<16 - 1
	maxWindow      = 1<<31 - 1
	specFrame      = 16 << 10
	ourFrame       = specFrame // largest frame that is read
	ourTable       = 4 << 10   // HPACK's
	connectionWait = 1 << 20   // bytes of all bodies that are taken before somebody reads them
	readBuffer     = 4 << 10
)

const (
	prefaceTimeout = 10 * time.Second
	// lingering is how long a client has to read why its connection ends.
	lingering = time.Second
)

func newConn(s *Server, secure, under net.Conn, handler http.Handler, base context.Context) *conn {
	c := &conn{
		server: s, secure: secure, under: under, remote: secure.RemoteAddr().String(), handler: handler, base: base,
		streams: map[uint32]*stream{}, reader: bufio.NewReaderSize(secure, readBuffer), bother: bother{since: time.Now()},
	}
	c.framer = http2.NewFramer(nil, c.reader)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(ourFrame)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(ourTable, nil)
	c.framer.MaxHeaderListSize = uint32(s.maxHeader())
	c.out.init()
	c.in.window = connectionWait
	return c
}

// serve reads until the connection ends.
func (c *conn) serve() {
	err := c.greet()
	if err == nil {
		err = c.read()
	}
	var broken http2.ConnectionError
	if errors.As(err, &broken) {
		c.lastWords(http2.ErrCode(broken))
	}
	c.fail(err)
	if c.waiting != nil { // nobody would hear the answer
		c.mu.Lock()
		c.waiting = nil
		c.running--
		c.mu.Unlock()
	}
	c.secure.Close()
}

// greet exchanges prefaces.
func (c *conn) greet() error {
	if err := c.secure.SetReadDeadline(time.Now().Add(prefaceTimeout)); err != nil {
		return err
	}
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.reader, preface); err != nil {
		return err
	}
	if !bytes.Equal(preface, []byte(http2.ClientPreface)) {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.mu.Lock()
	c.out.settings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(c.server.maxStreams())},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.server.maxHeader())},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(c.server.streamBuffer())},
	)
	c.out.windowUpdate(0, connectionWait-specWindow)
	c.flushSoon()
	c.becomeIdle()
	c.mu.Unlock()
	first, err := c.framer.ReadFrame()
	if err != nil {
		return asConnectionError(err)
	}
	settings, ok := first.(*http2.SettingsFrame)
	if !ok || settings.IsAck() {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if err := c.secure.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	c.mu.Lock()
	c.closeIfDone() // the server may have begun to end meanwhile
	c.mu.Unlock()
	return c.take(first)
}

// asConnectionError tells what the client did wrong, if it did.
func asConnectionError(err error) error {
	if errors.Is(err, http2.ErrFrameTooLarge) {
		return http2.ConnectionError(http2.ErrCodeFrameSize)
	}
	return err
}

// read takes frames until one breaks the connection, or there are no more.
func (c *conn) read() error {
	for {
		if c.waiting != nil && c.reader.Buffered() == 0 {
			c.begin()
		}
		frame, err := c.framer.ReadFrame()
		if err == nil {
			err = c.take(frame)
		}
		var one http2.StreamError
		if errors.As(err, &one) {
			c.refuse(one)
			continue
		}
		if err != nil {
			return asConnectionError(err)
		}
	}
}

// refuse resets a stream for what the client has sent on it.
func (c *conn) refuse(err http2.StreamError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err.StreamID > c.last && err.StreamID%2 == 1 {
		c.last = err.StreamID // a header that could not be read opened it
	}
	if s := c.streams[err.StreamID]; s != nil {
		c.drop(s, err)
	}
	c.left.add(err.StreamID)
	c.out.reset(err.StreamID, err.Code)
	c.flushSoon()
}

// endGracefully ends the connection with its last request. The client is told to open no more streams, and which was the last when it
// must have heard of that: so none that was under way is lost (RFC 9113 section 6.8).
func (c *conn) endGracefully() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending || c.failed != nil {
		return
	}
	c.ending = true
	c.out.goAway(maxWindow, http2.ErrCodeNo)
	c.out.ping(farewell, 0)
	c.flushSoon()
	time.AfterFunc(lingering, c.takeNoMore)
}

// farewell is the ping whose answer says that the client knows.
var farewell = [8]byte{'f', 'a', 'r', 'e', 'w', 'e', 'l', 'l'}

// takeNoMore takes no more streams, and closes the connection after the last.
func (c *conn) takeNoMore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.failed != nil {
		return
	}
	c.closing = true
	c.out.goAway(c.last, http2.ErrCodeNo)
	c.flushSoon()
	c.closeIfDone()
}

// closeIfDone lets the client read what was sent, and close the connection first.
func (c *conn) closeIfDone() {
	if c.closing && len(c.streams) == 0 && c.failed == nil {
		_ = c.secure.SetReadDeadline(time.Now().Add(lingering)) // fails only if it is closed
	}
}

// lastWords says why the connection ends, and waits a moment for the client to read it: what it goes on to send would
// else break the connection before that.
func (c *conn) lastWords(code http2.ErrCode) {
	c.mu.Lock()
	c.ending, c.closing = true, true
	c.out.goAway(c.last, code)
	c.flushSoon()
	c.mu.Unlock()
	if c.secure.SetReadDeadline(time.Now().Add(lingering)) == nil {
		_, _ = io.Copy(io.Discard, c.secure)
	}
}

// fail ends all streams: nothing can be sent or read any more.
func (c *conn) fail(err error) {
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

func (c *conn) failLocked(err error) {
	if c.failed != nil {
		return
	}
	c.failed = err
	if c.idle != nil {
		c.idle.Stop()
	}
	for _, s := range c.streams {
		c.drop(s, err)
	}
	c.out.take().free()
}

// becomeIdle notes that there is no stream. One timer looks now and then: requests need not touch it.
func (c *conn) becomeIdle() {
	limit := c.server.IdleTimeout
	if limit <= 0 {
		return
	}
	c.idled = time.Now()
	if c.idle == nil {
		c.idle = time.AfterFunc(limit, c.checkIdle)
	}
}

func (c *conn) checkIdle() {
	c.mu.Lock()
	if c.failed != nil {
		c.mu.Unlock()
		return
	}
	left := c.server.IdleTimeout
	if len(c.streams) == 0 {
		left -= time.Since(c.idled)
	}
	if left > 0 {
		c.idle.Reset(left)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.endGracefully()
}
