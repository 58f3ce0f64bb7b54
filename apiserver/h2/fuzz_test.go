package h2

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// session are frames that a client may send: the beginning of what the fuzzer tries.
func session(write func(f *http2.Framer, block func(fields ...string) []byte)) []byte {
	var out, fields bytes.Buffer
	out.WriteString(http2.ClientPreface)
	encoder := hpack.NewEncoder(&fields)
	framer := http2.NewFramer(&out, nil)
	framer.AllowIllegalWrites = true
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
	write(framer, func(all ...string) []byte {
		fields.Reset()
		for i := 0; i < len(all); i += 2 {
			_ = encoder.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]})
		}
		return bytes.Clone(fields.Bytes())
	})
	return out.Bytes()
}

// FuzzServer: whatever a client sends after the handshake, the server survives it, keeps its bounds, and is done when the client is.
func FuzzServer(f *testing.F) {
	ask := []string{":method", "POST", ":scheme", "https", ":path", "/", ":authority", "a", "content-length", "3", "expect", "100-continue", "trailer", "x"}
	f.Add(session(func(f *http2.Framer, block func(...string) []byte) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(ask...), EndHeaders: true})
		_ = f.WriteData(1, false, []byte("abc"))
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block("x", "1"), EndHeaders: true, EndStream: true})
		_ = f.WriteWindowUpdate(1, 1000)
		_ = f.WriteWindowUpdate(0, 1000)
		_ = f.WriteRSTStream(1, 8)
	}))
	f.Add(session(func(f *http2.Framer, block func(...string) []byte) {
		head := block(":method", "GET", ":scheme", "https", ":path", "/long", ":authority", "a")
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head[:3], EndStream: true})
		_ = f.WriteContinuation(1, true, head[3:])
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		_ = f.WritePing(false, [8]byte{1})
		_ = f.WritePriority(3, http2.PriorityParam{StreamDep: 1})
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block(":method", "HEAD", ":scheme", "https", ":path", "/panic"), EndStream: true, EndHeaders: true})
		_ = f.WritePing(true, farewell)
		_ = f.WriteGoAway(0, 0, nil)
	}))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/long":
			_, _ = w.Write(make([]byte, 1<<16))
		}
		_, _ = io.WriteString(w, "answer")
		_ = http.NewResponseController(w).Flush()
		w.(*response).Offer([]byte("head"), make([]byte, 1000), []byte("tail"))
	})
	f.Fuzz(func(t *testing.T, sent []byte) {
		server := &Server{MaxStreams: 10, MaxHeaderBytes: 4096, IdleTimeout: time.Minute}
		client, ours := net.Pipe()
		c := newConn(server, ours, ours, handler, context.Background())
		done := make(chan struct{})
		go func() { defer close(done); c.serve() }()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_, _ = client.Write(sent)
		c.mu.Lock()
		if len(c.streams) > 10 || c.running > 10 || c.in.window > connectionWait || c.out.bytes > enough+enoughLent+tooMuch {
			t.Errorf("%d streams, %d handlers, %d bytes out", len(c.streams), c.running, c.out.bytes)
		}
		c.mu.Unlock()
		client.Close()
		<-done
		for { // handlers end with their connection
			c.mu.Lock()
			running := c.running
			c.mu.Unlock()
			if running == 0 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
}
