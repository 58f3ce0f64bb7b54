package h2_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/septet-io/septet/apiserver/h2"
)

// wire is a client that speaks in frames.
type wire struct {
	*http2.Framer
	t       *testing.T
	conn    *tls.Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
	heard   string // what until returns, if it was read before
}

// connect begins a connection with some settings.
func connect(t *testing.T, server *h2.Server, handler http.HandlerFunc, settings ...http2.Setting) *wire {
	t.Helper()
	s, _ := start(t, server, handler)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	w := &wire{Framer: http2.NewFramer(conn, conn), t: t, conn: conn}
	w.encoder = hpack.NewEncoder(&w.block)
	w.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = io.WriteString(conn, http2.ClientPreface)
	w.must(err)
	w.must(w.WriteSettings(settings...))
	return w
}

func (w *wire) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// ask opens a stream; fields come in pairs of name and value after the usual.
func (w *wire) ask(stream uint32, end bool, fields ...string) {
	w.t.Helper()
	w.block.Reset()
	usual := []string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "localhost"}
	fields = append(usual, fields...)
	for i := 0; i < len(fields); i += 2 {
		w.must(w.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	w.must(w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: w.block.Bytes(), EndStream: end, EndHeaders: true}))
}

// endlessHeader sends a header in more and more parts.
func (w *wire) endlessHeader() {
	w.ask(1, true)
	w.until()
	w.block.Reset()
	w.must(w.encoder.WriteField(hpack.HeaderField{Name: "x-long", Value: strings.Repeat("~", 1000)}))
	w.must(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: w.block.Bytes()}))
	for n := 0; n < 1000; n++ {
		if w.WriteContinuation(3, false, slices.Repeat([]byte{0}, 1000)) != nil {
			return
		}
	}
}

// bomb sends a header of a few bytes that stands for megabytes.
func (w *wire) bomb() {
	w.block.Reset()
	for _, usual := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":authority", "localhost"}} {
		w.must(w.encoder.WriteField(hpack.HeaderField{Name: usual[0], Value: usual[1]}))
	}
	for range 3000 {
		w.must(w.encoder.WriteField(hpack.HeaderField{Name: "x-bomb", Value: strings.Repeat("b", 3000)}))
	}
	w.must(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.block.Bytes(), EndStream: true, EndHeaders: true}))
}

// many sends something until the server has had enough of it, reading what it answers.
func many(send func(w *wire, n int) error) func(*wire) {
	return func(w *wire) {
		answers := make(chan string, 1)
		go func() {
			for {
				frame, err := w.ReadFrame()
				if f, ok := frame.(*http2.GoAwayFrame); ok {
					answers <- "goaway " + f.ErrCode.String()
					return
				}
				var broken http2.StreamError
				if err != nil && !errors.As(err, &broken) {
					answers <- err.Error()
					return
				}
			}
		}()
		for n := 0; n < 100_000; n++ {
			if send(w, n) != nil {
				break
			}
			if n%1000 == 0 && len(answers) > 0 {
				break
			}
		}
		w.heard = <-answers
	}
}

// asked does something when stream 1 is open.
func asked(do func(*wire)) func(*wire) {
	return func(w *wire) {
		w.ask(1, false)
		do(w)
	}
}

// until reads frames until one says what happened: "reset CODE", "goaway CODE", "status N", "ping", "closed".
func (w *wire) until() string {
	w.t.Helper()
	if w.heard != "" {
		return w.heard
	}
	for {
		frame, err := w.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch f := frame.(type) {
		case *http2.RSTStreamFrame:
			return "reset " + f.ErrCode.String()
		case *http2.GoAwayFrame:
			return "goaway " + f.ErrCode.String()
		case *http2.MetaHeadersFrame:
			return "status " + f.PseudoValue("status")
		case *http2.PingFrame:
			if f.IsAck() {
				return "ping"
			}
			w.must(w.WritePing(true, f.Data))
		}
	}
}

// TestFaults: what clients do wrong costs them the stream or the connection, by RFC 9113.
func TestFaults(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	for name, one := range map[string]struct {
		do   func(w *wire)
		want string
	}{
		"none":                       {func(w *wire) { w.ask(1, true) }, "status 200"},
		"even stream":                {func(w *wire) { w.ask(2, true) }, "goaway PROTOCOL_ERROR"},
		"lower stream":               {func(w *wire) { w.ask(5, true); w.until(); w.ask(3, true) }, "goaway STREAM_CLOSED"},
		"data on no stream":          {func(w *wire) { w.must(w.WriteData(1, true, nil)) }, "goaway PROTOCOL_ERROR"},
		"window of no stream":        {func(w *wire) { w.must(w.WriteWindowUpdate(1, 1)) }, "goaway PROTOCOL_ERROR"},
		"reset of no stream":         {func(w *wire) { w.must(w.WriteRSTStream(1, 0)) }, "goaway PROTOCOL_ERROR"},
		"connection window overflow": {func(w *wire) { w.must(w.WriteWindowUpdate(0, 1<<31-1)) }, "goaway FLOW_CONTROL_ERROR"},
		"stream window overflow":     {func(w *wire) { w.ask(1, false); w.must(w.WriteWindowUpdate(1, 1<<31-1)) }, "reset FLOW_CONTROL_ERROR"},
		"a promise": {func(w *wire) {
			w.must(w.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true}))
		}, "goaway PROTOCOL_ERROR"},
		"a bad setting":            {func(w *wire) { w.must(w.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1})) }, "goaway PROTOCOL_ERROR"},
		"too large a frame":        {func(w *wire) { w.ask(1, false); w.must(w.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 1<<14+1))) }, "goaway FRAME_SIZE_ERROR"},
		"more body than declared":  {func(w *wire) { w.ask(1, false, "content-length", "1"); w.must(w.WriteData(1, true, []byte("22"))) }, "reset PROTOCOL_ERROR"},
		"less body than declared":  {func(w *wire) { w.ask(1, false, "content-length", "3"); w.must(w.WriteData(1, true, []byte("22"))) }, "reset PROTOCOL_ERROR"},
		"no body, though declared": {func(w *wire) { w.ask(1, true, "content-length", "3") }, "reset PROTOCOL_ERROR"},
		"two lengths":              {func(w *wire) { w.ask(1, false, "content-length", "3", "content-length", "4") }, "reset PROTOCOL_ERROR"},
		"field of a connection":    {func(w *wire) { w.ask(1, true, "connection", "close") }, "reset PROTOCOL_ERROR"},
		"te":                       {func(w *wire) { w.ask(1, true, "te", "gzip") }, "reset PROTOCOL_ERROR"},
		"upper case":               {func(w *wire) { w.ask(1, true, "X-Upper", "1") }, "reset PROTOCOL_ERROR"},
		"unknown pseudo field":     {func(w *wire) { w.ask(1, true, ":status", "200") }, "reset PROTOCOL_ERROR"},
		"trailers that do not end": {func(w *wire) { w.ask(1, false); w.ask(1, false) }, "reset PROTOCOL_ERROR"},
		"too long a header":        {func(w *wire) { w.ask(1, true, slices.Repeat([]string{"x-long", strings.Repeat("l", 1000)}, 5)...) }, "status 431"},
		"a ping":                   {func(w *wire) { w.must(w.WritePing(false, [8]byte{})) }, "ping"},
		"extended CONNECT":         {func(w *wire) { w.ask(1, true, ":protocol", "websocket") }, "reset PROTOCOL_ERROR"},
		"a field with a line end":  {func(w *wire) { w.ask(1, true, "x-a", "a\r\nb: c") }, "reset PROTOCOL_ERROR"},
		"a pseudo field twice":     {func(w *wire) { w.ask(1, true, ":path", "/other") }, "reset PROTOCOL_ERROR"},
		"a late pseudo field":      {func(w *wire) { w.ask(1, true, "x-a", "b", ":path", "/other") }, "reset PROTOCOL_ERROR"},
		"a length with a sign":     {func(w *wire) { w.ask(1, false, "content-length", "+3") }, "reset PROTOCOL_ERROR"},
		"a chunked body":           {func(w *wire) { w.ask(1, false, "transfer-encoding", "chunked") }, "reset PROTOCOL_ERROR"},
		"data after the end":       {func(w *wire) { w.ask(1, true); w.until(); w.must(w.WriteData(1, true, []byte("1"))) }, "reset STREAM_CLOSED"},
		"a header after the end":   {func(w *wire) { w.ask(1, true); w.until(); w.ask(1, true) }, "goaway STREAM_CLOSED"},
		"a header of no end":       {(*wire).endlessHeader, "goaway PROTOCOL_ERROR"},
		"a frame amid a header": {func(w *wire) {
			w.must(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}}))
			w.must(w.WritePing(false, [8]byte{}))
		}, "goaway PROTOCOL_ERROR"},
		"a header that is no HPACK": {func(w *wire) {
			w.must(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true}))
		}, "goaway COMPRESSION_ERROR"},
		"an HPACK bomb": {(*wire).bomb, "status 431"},
		"too large a table": {func(w *wire) {
			w.must(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x3f, 0xe1, 0xff, 0x03}, EndHeaders: true}))
		}, "goaway COMPRESSION_ERROR"},
		"pings":            {many(func(w *wire, _ int) error { return w.WritePing(false, [8]byte{}) }), "goaway ENHANCE_YOUR_CALM"},
		"answers to pings": {many(func(w *wire, _ int) error { return w.WritePing(true, [8]byte{}) }), "goaway ENHANCE_YOUR_CALM"},
		"settings":         {many(func(w *wire, _ int) error { return w.WriteSettings() }), "goaway ENHANCE_YOUR_CALM"},
		"empty data":       {asked(many(func(w *wire, _ int) error { return w.WriteData(1, false, nil) })), "goaway ENHANCE_YOUR_CALM"},
		"windows":          {many(func(w *wire, _ int) error { return w.WriteWindowUpdate(0, 1) }), "goaway ENHANCE_YOUR_CALM"},
		"priorities":       {many(func(w *wire, _ int) error { return w.WritePriority(1, http2.PriorityParam{StreamDep: 3}) }), "goaway ENHANCE_YOUR_CALM"},
		"unknown frames":   {many(func(w *wire, _ int) error { return w.WriteRawFrame(77, 0, 0, nil) }), "goaway ENHANCE_YOUR_CALM"},
		"resets": {many(func(w *wire, n int) error {
			w.ask(uint32(2*n+1), true)
			return w.WriteRSTStream(uint32(2*n+1), http2.ErrCodeCancel)
		}), "goaway ENHANCE_YOUR_CALM"},
		"an unknown frame": {func(w *wire) { w.must(w.WriteRawFrame(77, 0, 0, nil)); w.ask(1, true) }, "status 200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := connect(t, &h2.Server{MaxHeaderBytes: 4096}, echo)
			w.AllowIllegalWrites = true
			one.do(w)
			if got := w.until(); got != one.want {
				t.Errorf("%s, want %s", got, one.want)
			}
		})
	}
}

// TestBodyBeyondWindow: who sends more than it was allowed loses the stream, and not before.
func TestBodyBeyondWindow(t *testing.T) {
	t.Parallel()
	w := connect(t, &h2.Server{StreamBuffer: 1 << 15}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	w.ask(1, false)
	w.must(w.WriteData(1, false, make([]byte, 1<<14)))
	w.must(w.WriteData(1, false, make([]byte, 1<<14)))
	w.must(w.WritePing(false, [8]byte{}))
	if got := w.until(); got != "ping" {
		t.Fatal(got)
	}
	w.must(w.WriteData(1, false, []byte("1")))
	if got := w.until(); got != "reset FLOW_CONTROL_ERROR" {
		t.Error(got)
	}
}

// TestStreamLimit: more streams than allowed are refused, also by a client that resets its own while their handlers run on.
func TestStreamLimit(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	w := connect(t, &h2.Server{MaxStreams: 2}, func(http.ResponseWriter, *http.Request) { <-release })
	w.ask(1, true)
	w.ask(3, true)
	w.ask(5, true)
	if got := w.until(); got != "reset REFUSED_STREAM" {
		t.Error(got)
	}
	w.must(w.WriteRSTStream(1, http2.ErrCodeCancel))
	w.must(w.WriteRSTStream(3, http2.ErrCodeCancel))
	w.ask(7, true)
	if got := w.until(); got != "reset REFUSED_STREAM" {
		t.Error(got)
	}
	close(release)
	for stream := uint32(9); ; stream += 2 { // the handlers end in their own time
		w.ask(stream, true)
		if got := w.until(); got == "status 200" {
			return
		} else if got != "reset REFUSED_STREAM" {
			t.Fatal(got)
		}
	}
}

// TestWindows: a stream whose window is used up holds up no other, and goes on when there is more.
func TestWindows(t *testing.T) {
	t.Parallel()
	w := connect(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", 10_000))
	}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4})
	got := map[uint32]int{}
	readData := func(stream uint32, want int) {
		t.Helper()
		for got[stream] < want {
			frame, err := w.ReadFrame()
			w.must(err)
			if data, ok := frame.(*http2.DataFrame); ok {
				got[data.StreamID] += len(data.Data())
			}
		}
		if got[stream] != want {
			t.Fatalf("stream %d: %d bytes, %d were allowed", stream, got[stream], want)
		}
	}
	w.ask(1, true)
	readData(1, 4)
	w.ask(3, true)
	readData(3, 4)
	w.must(w.WriteWindowUpdate(3, 1<<20))
	readData(3, 10_000)
	w.must(w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 104}))
	readData(1, 104)
	w.must(w.WriteWindowUpdate(1, 1<<20))
	readData(1, 10_000)
}

// TestSlowReader: a client that does not read makes its handlers wait, not the server remember; once it reads, all comes.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const handlers, each = 10, 8 << 20
	var written atomic.Int64
	w := connect(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 4<<10)
		for range each / len(piece) {
			if _, err := w.Write(piece); err != nil {
				t.Error(err)
				return
			}
			w.(http.Flusher).Flush()
			written.Add(int64(len(piece)))
		}
	}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	w.must(w.WriteWindowUpdate(0, 1<<30))
	for n := range handlers {
		w.ask(uint32(2*n+1), true)
	}
	last := int64(-1)
	for now := written.Load(); now == 0 || now != last; now = written.Load() {
		last = now
		time.Sleep(100 * time.Millisecond)
	}
	if last > handlers*each/2 { // the kernel's buffers are most of it
		t.Errorf("%d MB were written that nobody read", last>>20)
	}
	read := 0
	for read < handlers*each {
		frame, err := w.ReadFrame()
		w.must(err)
		if data, ok := frame.(*http2.DataFrame); ok {
			read += len(data.Data())
		}
	}
}

// TestFlood: a client that asks for answers and never reads them is left.
func TestFlood(t *testing.T) {
	t.Parallel()
	w := connect(t, &h2.Server{}, func(http.ResponseWriter, *http.Request) {})
	var pings bytes.Buffer
	many := http2.NewFramer(&pings, nil)
	for range 1000 {
		w.must(many.WritePing(false, [8]byte{}))
	}
	var err error
	for n := 0; err == nil && n < 100_000; n++ {
		_, err = w.conn.Write(pings.Bytes())
	}
	if err == nil {
		t.Error("the server took 100 million pings")
	}
}

// TestIdle: a connection without requests is told to go, and closed; one with a request is not.
func TestIdle(t *testing.T) {
	t.Parallel()
	w := connect(t, &h2.Server{IdleTimeout: 100 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) {
		time.Sleep(300 * time.Millisecond)
	})
	w.ask(1, true)
	for _, want := range []string{"status 200", "goaway NO_ERROR", "goaway NO_ERROR", "closed"} {
		if got := w.until(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestClose: an answer may ask the client to connect anew.
func TestClose(t *testing.T) {
	t.Parallel()
	w := connect(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") })
	w.ask(1, true)
	seen := map[string]bool{w.until(): true, w.until(): true}
	if !seen["status 200"] || !seen["goaway NO_ERROR"] {
		t.Error(seen)
	}
}

// TestBadPreface: who does not speak HTTP/2 is not served.
func TestBadPreface(t *testing.T) {
	t.Parallel()
	s, _ := start(t, &h2.Server{}, func(http.ResponseWriter, *http.Request) { t.Error("served") })
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
}

// TestRefusedTooOften: who asks on and on for more than the limit is told to calm down.
func TestRefusedTooOften(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	w := connect(t, &h2.Server{MaxStreams: 1}, func(http.ResponseWriter, *http.Request) { <-release })
	for stream := uint32(1); ; stream += 2 {
		w.ask(stream, true)
		if stream == 1 {
			continue
		}
		if got := w.until(); got == "goaway ENHANCE_YOUR_CALM" {
			return
		} else if got != "reset REFUSED_STREAM" || stream > 10_000 {
			t.Fatal(stream, got)
		}
	}
}

// TestDeafClients: those who take nothing, by their window or by not reading, hold a handler only for so long.
func TestDeafClients(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string]http2.Setting{
		"no window":    {ID: http2.SettingInitialWindowSize, Val: 0},
		"full sockets": {ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			w := connect(t, &h2.Server{WriteTimeout: 200 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(w, zeros{})
				ended <- err
			}, setting)
			w.must(w.WriteWindowUpdate(0, 1<<31-1-1<<16))
			w.ask(1, true)
			if err := <-ended; err == nil {
				t.Error("all of it was written")
			}
		})
	}
}

// TestWriteDeadline: a handler may wait longer for its client than others, or shorter.
func TestWriteDeadline(t *testing.T) {
	t.Parallel()
	w := connect(t, &h2.Server{WriteTimeout: time.Hour}, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		_, err := w.Write(make([]byte, 100_000))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
	w.ask(1, true)
	for _, want := range []string{"status 200", "reset CANCEL"} {
		if got := w.until(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestPatientHandler: a handler may wait for its client for ever, beside others that do not.
func TestPatientHandler(t *testing.T) {
	t.Parallel()
	const size = 10_000
	w := connect(t, &h2.Server{WriteTimeout: 20 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Patient") != "" {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
				t.Error(err)
			}
		}
		w.Write(make([]byte, size))
	}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	w.ask(1, true, "x-patient", "yes")
	w.ask(3, true)
	for got := ""; got != "reset CANCEL"; {
		if got = w.until(); got == "closed" {
			t.Fatal("nobody was impatient")
		}
	}
	w.must(w.WriteWindowUpdate(1, size))
	for read := 0; read < size; {
		frame, err := w.ReadFrame()
		w.must(err)
		if data, ok := frame.(*http2.DataFrame); ok && data.StreamID == 1 {
			read += len(data.Data())
		}
	}
}

// TestGoodbye: a client is told twice that the connection ends. Between the two it may open streams, after them they are ignored.
func TestGoodbye(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	w := connect(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Do") {
		case "close":
			w.Header().Set("Connection", "close")
		case "wait":
			<-release
		}
	})
	frames := func() http2.Frame {
		for {
			frame, err := w.ReadFrame()
			w.must(err)
			switch frame.(type) {
			case *http2.GoAwayFrame, *http2.PingFrame, *http2.MetaHeadersFrame:
				return frame
			}
		}
	}
	w.ask(1, true, "x-do", "wait")
	w.ask(3, true, "x-do", "close")
	var ping *http2.PingFrame
	for first := (*http2.GoAwayFrame)(nil); ping == nil; {
		switch f := frames().(type) {
		case *http2.GoAwayFrame:
			first = f
			if f.LastStreamID != 1<<31-1 {
				t.Errorf("the last stream is said to be %d too early", f.LastStreamID)
			}
		case *http2.PingFrame:
			if first == nil {
				t.Fatal("a ping first")
			}
			ping = f
			w.ask(5, true) // under way meanwhile
			w.must(w.WritePing(true, f.Data))
		}
	}
	answered, last := false, uint32(0)
	for !answered || last == 0 {
		switch f := frames().(type) {
		case *http2.MetaHeadersFrame:
			answered = answered || f.StreamID == 5
		case *http2.GoAwayFrame:
			last = f.LastStreamID
		}
	}
	if last != 5 {
		t.Errorf("the last stream is said to be %d", last)
	}
	w.ask(7, false) // too late, with all that comes with it
	w.must(w.WriteData(7, false, []byte("of a body")))
	w.must(w.WriteWindowUpdate(7, 1))
	w.must(w.WriteRSTStream(7, http2.ErrCodeCancel))
	close(release)
	if f, ok := frames().(*http2.MetaHeadersFrame); !ok || f.StreamID != 1 {
		t.Errorf("%v instead of the answer that was waited for", f)
	}
	if got := w.until(); got != "closed" {
		t.Error(got)
	}
}
