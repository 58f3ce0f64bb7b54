package h2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// output is what a connection has to send: whole frames, in order. Guarded by conn.mu.
type output struct {
	// pieces are the bytes: parts of chunks, and what is lent.
	pieces [][]byte
	chunks []*chunk // what was copied; all but the last are full
	spare  *load    // empty, to go on with
	bytes  int      // of all pieces
	// replies are bytes of frames that the client's own have caused. They are bounded apart: no handler waits for their sake.
	replies int
	// tail: the last piece ends where the last chunk does, and may be lengthened.
	tail bool
	// writing: somebody is writing, and will write what comes meanwhile.
	writing bool
	// promised: somebody is about to write, as soon as others who are ready have added theirs.
	promised bool
	// queue are streams that wait for room or for the connection's window, the first come first.
	queue []*stream
	// frames of data that were added since somebody has counted them.
	frames int

	window      int64 // of the connection
	firstWindow int64 // of a new stream
	frameSize   int   // largest that the client takes

	block   bytes.Buffer
	encoder *hpack.Encoder
	// resized: the encoder has to begin with word of its table.
	resized bool
}

// load is what is taken from an output to be written.
type load struct {
	pieces [][]byte
	chunks []*chunk
}

// chunk is memory of frames: as much as one TLS record takes.
type chunk struct {
	n     int
	bytes [recordSize]byte
}

const recordSize = 16 << 10

var chunks = sync.Pool{New: func() any { return new(chunk) }}

const (
	// enough is the size from which nobody adds data any more: a client that does not read costs no more than that.
	enough = 256 << 10
	// enoughLent is that size for data that is lent, most of which other connections have too.
	enoughLent = 2 << 20
	// tooMuch is the size of replies (to pings, settings, bad streams) at which a client that does not read them is left.
	tooMuch = 256 << 10
	// eager is the size from which data is sent without a flush.
	eager = recordSize
	// lendable is the size from which it costs less to keep a reference than a copy.
	lendable = 512
	// largestData bounds a frame, however large the client takes them, so that streams take turns.
	largestData = 64 << 10
	headSize    = 9
)

func (o *output) init() {
	o.window, o.firstWindow, o.frameSize = specWindow, specWindow, specFrame
	o.spare = &load{}
	o.encoder = hpack.NewEncoder(&o.block)
	o.encoder.SetMaxDynamicTableSizeLimit(ourTable)
}

// take empties the output.
func (o *output) take() *load {
	all := o.spare
	if all == nil {
		all = &load{}
	}
	all.pieces, o.pieces = o.pieces, all.pieces
	all.chunks, o.chunks = o.chunks, all.chunks
	o.spare, o.bytes, o.replies, o.tail = nil, 0, 0, false
	return all
}

// free lets go of what a load holds.
func (l *load) free() {
	for _, one := range l.chunks {
		one.n = 0
		chunks.Put(one)
	}
	clear(l.pieces)
	clear(l.chunks)
	l.pieces, l.chunks = l.pieces[:0], l.chunks[:0]
	if cap(l.pieces) > maxSpare {
		l.pieces = nil
	}
}

// maxSpare is the longest list of pieces that is kept for the next load.
const maxSpare = 1 << 10

// head begins a frame of which size bytes follow.
func (o *output) head(size int, kind http2.FrameType, flags http2.Flags, stream uint32) {
	head := [headSize]byte{byte(size >> 16), byte(size >> 8), byte(size), byte(kind), byte(flags)}
	binary.BigEndian.PutUint32(head[5:], stream)
	o.add(head[:])
	switch kind {
	case http2.FrameData:
		o.frames++
	case http2.FrameHeaders, http2.FrameContinuation:
	default:
		o.replies += headSize + size
	}
}

// add appends a copy.
func (o *output) add(payload []byte) {
	o.bytes += len(payload)
	for len(payload) > 0 {
		var last *chunk
		if n := len(o.chunks); n > 0 {
			last = o.chunks[n-1]
		}
		if last == nil || last.n == recordSize {
			last = chunks.Get().(*chunk)
			o.chunks, o.tail = append(o.chunks, last), false
		}
		begin := last.n
		last.n += copy(last.bytes[begin:], payload)
		payload = payload[last.n-begin:]
		if o.tail {
			piece := &o.pieces[len(o.pieces)-1]
			*piece = (*piece)[:len(*piece)+last.n-begin]
		} else {
			o.pieces, o.tail = append(o.pieces, last.bytes[begin:last.n:recordSize]), true
		}
	}
}

// lend appends bytes that nobody changes any more.
func (o *output) lend(payload []byte) {
	if len(payload) < lendable {
		o.add(payload)
		return
	}
	o.bytes += len(payload)
	o.pieces, o.tail = append(o.pieces, payload), false
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

func (o *output) ping(data [8]byte, flags http2.Flags) {
	o.head(len(data), http2.FramePing, flags, 0)
	o.add(data[:])
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
	for len(o.queue) > 0 && o.window > 0 && o.bytes < enough {
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
	if c.out.writing || c.out.bytes == 0 || c.failed != nil {
		return
	}
	c.out.writing = true
	c.write()
	if c.out.bytes > 0 {
		go c.drain()
		return
	}
	c.out.writing = false
}

// flushSoon is flush for who must not wait.
func (c *conn) flushSoon() {
	if c.failed != nil {
		c.out.take().free()
		return
	}
	if c.out.replies > tooMuch {
		c.failLocked(http2.ConnectionError(http2.ErrCodeEnhanceYourCalm))
		go c.secure.Close() // may have to wait for who is writing
		return
	}
	if c.out.writing || c.out.bytes == 0 || c.failed != nil {
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
	for c.out.bytes > 0 {
		c.write()
	}
	c.out.writing = false
}

// promise is flush by somebody who has more to add to this connection or others: it returns who is to be flushed then, nil if that
// will happen anyway.
func (c *conn) promise() *conn {
	if c.out.writing || c.out.promised {
		return nil
	}
	c.out.promised = true
	return c
}

// Flush keeps a promise, without waiting.
func (c *conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.promised = false
	c.flushSoon()
}

// write writes what is there, as one.
func (c *conn) write() {
	long := c.out.bytes > recordSize
	all := c.out.take()
	c.mu.Unlock()
	err := c.send(all.pieces, long)
	all.free()
	c.mu.Lock()
	c.out.spare = all
	if err != nil {
		c.failLocked(err)
		_ = c.under.Close() // so that reading ends too
		return
	}
	if c.failed != nil {
		c.out.take().free()
	}
	c.out.next()
}

// send writes pieces as few TLS records, long ones in fewer calls into the kernel. Only who has set output.writing may call it.
func (c *conn) send(pieces [][]byte, long bool) error {
	if gather, ok := c.under.(*gathering); ok && long {
		gather.begin()
		err := c.records(pieces)
		return errors.Join(err, gather.end())
	}
	return c.records(pieces)
}

// records puts short pieces together; what is as long as a record anyway is not copied.
func (c *conn) records(pieces [][]byte) error {
	record := records.Get().(*[recordSize]byte)
	defer records.Put(record)
	n := 0
	for i, piece := range pieces {
		if n == 0 && (len(piece) >= recordSize || i == len(pieces)-1) {
			if err := c.sendRecord(piece); err != nil {
				return err
			}
			continue
		}
		for len(piece) > 0 {
			m := copy(record[n:], piece)
			n, piece = n+m, piece[m:]
			if n < recordSize {
				continue
			}
			if err := c.sendRecord(record[:]); err != nil {
				return err
			}
			n = 0
		}
	}
	if n == 0 {
		return nil
	}
	return c.sendRecord(record[:n])
}

var records = sync.Pool{New: func() any { return new([recordSize]byte) }}

// sendRecord lets the client have writeTimeout for it, give or take a quarter.
func (c *conn) sendRecord(bytes []byte) error {
	if now := time.Now(); now.Sub(c.lately) > c.server.writeTimeout()/4 {
		c.lately = now
		if err := c.secure.SetWriteDeadline(now.Add(c.server.writeTimeout())); err != nil {
			return err
		}
	}
	_, err := c.secure.Write(bytes)
	return err
}
