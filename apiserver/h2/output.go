package h2

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// output is what a connection has to send: whole frames, in order. Guarded by conn.mu.
type output struct {
	chunks []*chunk // all but the last are full
	spare  []*chunk // an empty list to go on with
	// writing: somebody is writing, and will write what comes meanwhile.
	writing bool
	// promised: somebody is about to write, as soon as others who are ready have added theirs.
	promised bool
	// queue are streams that wait for room or for the connection's window, the first come first.
	queue []*stream

	window      int64 // of the connection
	firstWindow int64 // of a new stream
	frameSize   int   // largest that the client takes

	block   bytes.Buffer
	encoder *hpack.Encoder
}

// chunk is as much as one TLS record takes.
type chunk struct {
	n     int
	bytes [16 << 10]byte
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

const (
	// enough is the size from which nobody adds data any more: a client that does not read costs no more than that.
	enough = 256 << 10
	// tooMuch is the size at which a client that asks for answers (to pings, settings) and does not read them is left.
	tooMuch = enough + 256<<10
	// eager is the size from which data is sent without a flush.
	eager = 16 << 10
	// largestData bounds a frame, however large the client takes them, so that streams take turns.
	largestData = 64 << 10
	headSize    = 9
)

func (o *output) init() {
	o.window, o.firstWindow, o.frameSize = specWindow, specWindow, specFrame
	o.encoder = hpack.NewEncoder(&o.block)
	o.encoder.SetMaxDynamicTableSizeLimit(ourTable)
}

func (o *output) size() int {
	if len(o.chunks) == 0 {
		return 0
	}
	return (len(o.chunks)-1)*len(chunk{}.bytes) + o.chunks[len(o.chunks)-1].n
}

func (o *output) free() {
	freeChunks(o.chunks)
	o.chunks = o.chunks[:0]
}

func freeChunks(all []*chunk) {
	for i, one := range all {
		one.n = 0
		chunks.Put(one)
		all[i] = nil
	}
}

// head begins a frame of which size bytes follow.
func (o *output) head(size int, kind http2.FrameType, flags http2.Flags, stream uint32) {
	head := [headSize]byte{byte(size >> 16), byte(size >> 8), byte(size), byte(kind), byte(flags)}
	binary.BigEndian.PutUint32(head[5:], stream)
	o.add(head[:])
}

func (o *output) add(payload []byte) {
	for len(payload) > 0 {
		var last *chunk
		if n := len(o.chunks); n > 0 {
			last = o.chunks[n-1]
		}
		if last == nil || last.n == len(last.bytes) {
			last = chunks.Get().(*chunk)
			o.chunks = append(o.chunks, last)
		}
		n := copy(last.bytes[last.n:], payload)
		last.n += n
		payload = payload[n:]
	}
}

func (o *output) addUint32(value uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], value)
	o.add(b[:])
}

func (o *output) data(stream uint32, payload []byte, end bool) {
	var flags http2.Flags
	if end {
		flags = http2.FlagDataEndStream
	}
	o.head(len(payload), http2.FrameData, flags, stream)
	o.add(payload)
}

func (o *output) reset(stream uint32, code http2.ErrCode) {
	o.head(4, http2.FrameRSTStream, 0, stream)
	o.addUint32(uint32(code))
}

func (o *output) goAway(last uint32, code http2.ErrCode) {
	o.head(8, http2.FrameGoAway, 0, 0)
	o.addUint32(last)
	o.addUint32(uint32(code))
}

func (o *output) windowUpdate(stream uint32, more int) {
	o.head(4, http2.FrameWindowUpdate, 0, stream)
	o.addUint32(uint32(more))
}

func (o *output) settings(all ...http2.Setting) {
	o.head(6*len(all), http2.FrameSettings, 0, 0)
	for _, one := range all {
		o.add([]byte{byte(one.ID >> 8), byte(one.ID)})
		o.addUint32(one.Val)
	}
}

// headers writes the fields that were encoded into block.
func (o *output) headers(stream uint32, end bool) {
	kind, flags := http2.FrameHeaders, http2.Flags(0)
	if end {
		flags = http2.FlagHeadersEndStream
	}
	for {
		part := o.block.Next(o.frameSize)
		if o.block.Len() == 0 {
			flags |= http2.FlagHeadersEndHeaders // the same bit in CONTINUATION
		}
		o.head(len(part), kind, flags, stream)
		o.add(part)
		if o.block.Len() == 0 {
			o.block.Reset()
			return
		}
		kind, flags = http2.FrameContinuation, 0
	}
}

// next lets the first of those who wait for room or the connection's window look again, if there is some; whoever goes on then
// calls it again.
func (o *output) next() {
	for len(o.queue) > 0 && o.window > 0 && o.size() < enough {
		s := o.queue[0]
		o.queue[0] = nil
		if o.queue = o.queue[1:]; len(o.queue) == 0 {
			o.queue = nil
		}
		if s.queued {
			s.queued = false
			s.changed.Broadcast()
			return
		}
	}
}

// await makes a stream wait for its turn.
func (o *output) await(s *stream) {
	if !s.queued {
		s.queued = true
		o.queue = append(o.queue, s)
	}
	s.changed.Wait()
	s.queued = false // when something else has woken it
}

// flush writes what is there, unless somebody is at it. What has come meanwhile is left to another goroutine: a handler writes
// once at most for others. With conn.mu held, which is let go of while writing.
func (c *conn) flush() {
	if c.out.writing || c.out.size() == 0 || c.failed != nil {
		return
	}
	c.out.writing = true
	c.write()
	if c.out.size() > 0 {
		go c.drain()
		return
	}
	c.out.writing = false
}

// flushSoon is flush for who must not wait.
func (c *conn) flushSoon() {
	if c.out.size() > tooMuch {
		c.failLocked(http2.ConnectionError(http2.ErrCodeEnhanceYourCalm))
		go c.secure.Close() // may have to wait for who is writing
		return
	}
	if c.out.writing || c.out.size() == 0 || c.failed != nil {
		return
	}
	c.out.writing = true
	go c.drain()
}

// flushTogether is flush for one of many streams that are likely to have something at the same time.
func (c *conn) flushTogether() {
	if c.out.writing || c.out.promised {
		return
	}
	c.out.promised = true
	c.mu.Unlock()
	runtime.Gosched()
	c.mu.Lock()
	c.out.promised = false
	c.flush()
}

// drain writes until nothing is left.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out.size() > 0 {
		c.write()
	}
	c.out.writing = false
}

// write writes what is there, as one.
func (c *conn) write() {
	all := c.out.chunks
	c.out.chunks, c.out.spare = c.out.spare[:0], nil
	c.mu.Unlock()
	var err error
	for _, one := range all {
		if err == nil {
			_, err = c.secure.Write(one.bytes[:one.n])
		}
	}
	freeChunks(all)
	c.mu.Lock()
	c.out.spare = all[:0]
	if err != nil {
		c.failLocked(err)
		_ = c.secure.NetConn().Close() // so that reading ends too
		return
	}
	if c.failed != nil {
		c.out.free()
	}
	c.out.next()
}
