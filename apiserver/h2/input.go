package h2

import (
	"slices"

	"golang.org/x/net/http2"
)

// take acts on a frame. A StreamError ends its stream, a ConnectionError the connection.
func (c *conn) take(frame http2.Frame) error {
	if c.waiting != nil {
		if data, ok := frame.(*http2.DataFrame); !ok || data.StreamID != c.waiting.id {
			c.begin()
		}
	}
	if err := c.bear(frame); err != nil {
		return err
	}
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		return c.takeHeaders(f)
	case *http2.DataFrame:
		return c.takeData(f)
	case *http2.WindowUpdateFrame:
		return c.takeWindow(f)
	case *http2.SettingsFrame:
		return c.takeSettings(f)
	case *http2.PingFrame:
		return c.takePing(f)
	case *http2.RSTStreamFrame:
		return c.takeReset(f)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol) // clients have nothing to promise
	}
	return nil // GOAWAY: the client will close; PRIORITY and what is not known: no matter
}

func (c *conn) takePing(f *http2.PingFrame) error {
	if f.IsAck() {
		if f.Data == farewell {
			c.mu.Lock()
			said := c.ending
			c.mu.Unlock()
			if said {
				c.takeNoMore()
			}
		}
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.ping(f.Data, http2.FlagPingAck)
	c.flushSoon()
	return nil
}

func (c *conn) takeSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	window := c.out.firstWindow
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingHeaderTableSize:
			c.out.encoder.SetMaxDynamicTableSize(s.Val)
			c.out.resized = true
		case http2.SettingMaxFrameSize:
			c.out.frameSize = int(s.Val)
		case http2.SettingInitialWindowSize:
			window = int64(s.Val)
		}
		return nil
	})
	if err == nil && window != c.out.firstWindow {
		err = c.resize(window) // once, however often it is in the frame
	}
	if err != nil {
		return err
	}
	c.out.head(0, http2.FrameSettings, http2.FlagSettingsAck, 0)
	c.out.next()
	c.flushSoon()
	return nil
}

// resize changes the window that streams begin with, also of those that have begun.
func (c *conn) resize(window int64) error {
	more := window - c.out.firstWindow
	c.out.firstWindow = window
	for _, s := range c.streams {
		if s.window += more; s.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		s.changed.Broadcast()
	}
	return nil
}

func (c *conn) takeWindow(f *http2.WindowUpdateFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		if c.out.window += int64(f.Increment); c.out.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		c.out.next()
		return nil
	}
	s := c.streams[f.StreamID]
	if s == nil {
		return c.ofOld(f.StreamID)
	}
	if s.window += int64(f.Increment); s.window > maxWindow {
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeFlowControl}
	}
	s.changed.Broadcast()
	return nil
}

// ofOld judges a frame of a stream that there is not: it may be over, or too late to be, but must have been opened.
func (c *conn) ofOld(id uint32) error {
	if id%2 == 0 || id > c.last && !c.closing {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

func (c *conn) takeReset(f *http2.RSTStreamFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[f.StreamID]
	if s == nil {
		return c.ofOld(f.StreamID)
	}
	c.drop(s, errReset)
	return nil
}

func (c *conn) takeData(f *http2.DataFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := int(f.Length) // with padding
	if size > c.in.window {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	c.in.window -= size
	s := c.streams[f.StreamID]
	if s == nil || s.body.ended {
		c.credit(size)
		if err := c.ofOld(f.StreamID); err != nil || c.left.has(f.StreamID) || f.StreamID > c.last {
			return err
		}
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeStreamClosed}
	}
	err := s.takeBody(f.Data(), size, f.StreamEnded())
	c.flushSoon()
	return err
}

// takeBody takes a piece of the body that has size bytes with padding.
func (s *stream) takeBody(piece []byte, size int, end bool) error {
	c, b := s.c, &s.body
	if size > b.window {
		c.credit(size)
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeFlowControl}
	}
	b.window -= size
	b.received += int64(len(piece))
	b.read += size - len(piece)
	c.credit(size - len(piece))
	if b.declared >= 0 && (b.received > b.declared || end && b.received < b.declared) {
		c.credit(len(piece))
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	}
	if b.closed {
		c.credit(len(piece))
	} else {
		b.take(piece)
	}
	b.ended = end
	if c.waiting == s {
		if end {
			c.begin()
		}
		return nil
	}
	s.changed.Broadcast()
	return nil
}

// takeHeaders begins a request, or ends one with trailers.
func (c *conn) takeHeaders(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if id%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		return s.takeTrailers(f)
	}
	if c.left.has(id) {
		return nil // trailers that were under way
	}
	if id <= c.last {
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	}
	if c.closing {
		return nil // GOAWAY has told the client to ask elsewhere
	}
	if c.failed != nil {
		return c.failed // while it was read; a stream that begins now would not hear of it
	}
	c.last = id
	if most := c.server.maxStreams(); len(c.streams) >= most || c.running >= most {
		if err := c.bother.add(refusedStream, &c.out); err != nil {
			return err
		}
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeRefusedStream}
	}
	s := c.newStream(id)
	if err := s.open(f); err != nil {
		if s.cancel != nil {
			s.cancel()
		}
		return err
	}
	c.streams[id] = s
	c.running++
	c.waiting = s
	if s.body.ended {
		c.begin()
	}
	return nil
}

func (s *stream) takeTrailers(f *http2.MetaHeadersFrame) error {
	b := &s.body
	if b.ended {
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeStreamClosed}
	}
	if !f.StreamEnded() || len(f.PseudoFields()) > 0 || b.declared >= 0 && b.received != b.declared {
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	}
	for _, field := range f.Fields {
		key := canonical(field.Name)
		if _, announced := s.request.Trailer[key]; announced {
			s.request.Trailer[key] = append(s.request.Trailer[key], field.Value)
		}
	}
	b.ended = true
	s.changed.Broadcast()
	return nil
}

// left are the last streams that we have reset: the client may not know yet, so what comes on them is no fault.
type left struct {
	ids  [32]uint32
	next int
}

func (l *left) add(id uint32) {
	l.ids[l.next] = id
	l.next = (l.next + 1) % len(l.ids)
}

func (l *left) has(id uint32) bool { return slices.Contains(l.ids[:], id) }
