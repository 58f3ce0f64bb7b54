package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"golang.org/x/net/http2/hpack"
)

// connection is as little HTTP/2 (RFC 9113) as a load needs: requests are written as prepared bytes, answers are counted and not
// kept. It spends a few microseconds a request, so that the server under load is what is measured. It is for one
// goroutine, but for streams, which are read by one and opened by another.
type connection struct {
	conn    net.Conn
	reader  *bufio.Reader
	headers *hpack.Decoder

	mu     sync.Mutex // guards what follows: writes
	next   uint32
	out    []byte
	unread uint32 // bytes received for which the server has no new window yet
	status string
}

// Frame types, flags and settings that occur.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway, frameWindow = 0, 1, 3, 4, 6, 7, 8

	flagEndStream, flagAck, flagEndHeaders = 1, 1, 4

	settingTableSize, settingPush, settingWindow, settingFrameSize = 1, 2, 4, 5

	// window is what the server may send before it must wait: as much as there can be.
	window       = 1<<31 - 1
	firstWindow  = 1<<16 - 1
	largestFrame = 1 << 20
	readBuffer   = 256 << 10
)

// dial connects and says how much may come.
func dial(address string, config *tls.Config) (*connection, error) {
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return nil, err
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
		conn.Close()
		return nil, fmt.Errorf("the server speaks %q, not HTTP/2", got)
	}
	c := &connection{conn: conn, reader: bufio.NewReaderSize(conn, readBuffer), next: 1}
	c.headers = hpack.NewDecoder(0, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			c.status = f.Value
		}
	})
	hello := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	var settings []byte
	for _, s := range [][2]uint32{{settingTableSize, 0}, {settingPush, 0}, {settingWindow, window}, {settingFrameSize, largestFrame}} {
		settings = binary.BigEndian.AppendUint16(settings, uint16(s[0]))
		settings = binary.BigEndian.AppendUint32(settings, s[1])
	}
	hello = appendFrame(hello, frameSettings, 0, 0, settings)
	hello = appendFrame(hello, frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, window-firstWindow))
	if _, err := conn.Write(hello); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *connection) close() { c.conn.Close() }

func appendFrame(to []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	to = append(to, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	to = binary.BigEndian.AppendUint32(to, stream)
	return append(to, payload...)
}

// call is a request whose header fields but the path are prepared.
type call struct{ fixed []byte }

// newCall prepares a request. Fields are sent as they are, without HPACK's table.
func newCall(method, authority, contentType, accept string) call {
	var b []byte
	for _, f := range [][2]string{{":method", method}, {":scheme", "https"}, {":authority", authority}} {
		b = appendField(b, f[0], f[1])
	}
	if contentType != "" {
		b = appendField(b, "content-type", contentType)
	}
	b = appendField(b, "accept", accept)
	return call{appendField(b, "user-agent", "bench")}
}

func appendField(to []byte, name, value string) []byte {
	to = append(to, 0)
	to = appendString(to, name)
	return appendString(to, value)
}

// appendString writes a string of HPACK: seven bits of length, more if need be, and no Huffman code.
func appendString(to []byte, s string) []byte {
	const most = 1<<7 - 1
	if len(s) < most {
		return append(append(to, byte(len(s))), s...)
	}
	to = append(to, most)
	rest := len(s) - most
	for ; rest >= 1<<7; rest >>= 7 {
		to = append(to, byte(rest)|1<<7)
	}
	return append(append(to, byte(rest)), s...)
}

// start sends a request and returns its stream.
func (c *connection) start(what call, path string, body []byte) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stream := c.next
	c.next += 2
	block := appendField(nil, ":path", path)
	// Pseudo-header fields come first.
	head := append(append(make([]byte, 0, len(block)+len(what.fixed)), block...), what.fixed...)
	flags := byte(flagEndHeaders)
	if body == nil {
		flags |= flagEndStream
	}
	c.out = appendFrame(c.out[:0], frameHeaders, flags, stream, head)
	if body != nil {
		c.out = appendFrame(c.out, frameData, flagEndStream, stream, body)
	}
	_, err := c.conn.Write(c.out)
	return stream, err
}

// answer is what came back.
type answer struct {
	status int
	bytes  int
}

// do sends a request and waits for the whole answer, of which keep, if given, gets the body in parts.
func (c *connection) do(what call, path string, body []byte, keep func([]byte)) (answer, error) {
	stream, err := c.start(what, path, body)
	if err != nil {
		return answer{}, err
	}
	var got answer
	for ended := false; !ended; {
		ended, err = c.read(func(of uint32, status int, data []byte) {
			if of != stream {
				return
			}
			got.bytes += len(data)
			if status != 0 {
				got.status = status
			}
			if keep != nil {
				keep(data)
			}
		})
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// read takes one frame, and tells whether a stream ended with it. Data is valid during the call only.
func (c *connection) read(see func(stream uint32, status int, data []byte)) (ended bool, err error) {
	var head [9]byte
	if err := c.fill(head[:]); err != nil {
		return false, err
	}
	size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])&window
	switch kind {
	case frameData:
		return flags&flagEndStream != 0, c.readData(stream, size, see)
	case frameHeaders:
		payload := make([]byte, size)
		if err := c.fill(payload); err != nil {
			return false, err
		}
		c.status = ""
		if _, err := c.headers.Write(payload); err != nil {
			return false, err
		}
		status, err := strconv.Atoi(c.status)
		if err != nil {
			return false, fmt.Errorf("status %q", c.status)
		}
		see(stream, status, nil)
		return flags&flagEndStream != 0, nil
	}
	payload := make([]byte, size)
	if err := c.fill(payload); err != nil {
		return false, err
	}
	return false, c.control(kind, flags, stream, payload)
}

func (c *connection) fill(into []byte) error {
	for n := 0; n < len(into); {
		m, err := c.reader.Read(into[n:])
		if err != nil {
			return err
		}
		n += m
	}
	return nil
}

// readData hands on what is in the buffer, without copying it.
func (c *connection) readData(stream uint32, size int, see func(uint32, int, []byte)) error {
	if err := c.renewWindow(uint32(size)); err != nil {
		return err
	}
	for size > 0 {
		part, err := c.reader.Peek(min(size, max(1, c.reader.Buffered())))
		if err != nil {
			return err
		}
		see(stream, 0, part)
		size -= len(part)
		if _, err := c.reader.Discard(len(part)); err != nil {
			return err
		}
	}
	return nil
}

// renewWindow lets the server go on before the connection's window is used up. Those of streams are large enough for each.
func (c *connection) renewWindow(size uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unread += size; c.unread < window/2 {
		return nil
	}
	_, err := c.conn.Write(appendFrame(nil, frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, c.unread)))
	c.unread = 0
	return err
}

// control answers what the protocol wants answered.
func (c *connection) control(kind, flags byte, stream uint32, payload []byte) error {
	switch {
	case kind == frameReset:
		return fmt.Errorf("stream %d was reset: %x", stream, payload)
	case kind == frameGoAway:
		return errors.New("the server goes away: " + string(payload[min(8, len(payload)):]))
	case kind == frameSettings && flags&flagAck == 0:
		return c.write(appendFrame(nil, frameSettings, flagAck, 0, nil))
	case kind == framePing && flags&flagAck == 0:
		return c.write(appendFrame(nil, framePing, flagAck, 0, payload))
	}
	return nil
}

func (c *connection) write(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.conn.Write(frame)
	return err
}
