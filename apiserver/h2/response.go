package h2

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// response is a stream's http.ResponseWriter. Its fields are the handler's, but begun, which conn.mu guards.
type response struct {
	s      *stream
	head   bool // the request's method is HEAD
	header http.Header
	// status is that of the answer once it is known; then fields are what header was at that time.
	status int
	fields http.Header
	// declared is the length that the handler has given; -1: none.
	declared int64
	written  int64
	// begun: the header was sent.
	begun bool
	// small is the beginning of the body while it might be all.
	small    *[]byte
	trailers []string
	refused  bool // the request's header was too long
}

// smallBody is how much of a body is held back, to tell its length and kind.
const smallBody = 4 << 10

var smalls = sync.Pool{New: func() any { b := make([]byte, 0, smallBody); return &b }}

func (w *response) begins(r *http.Request, tooLong bool) {
	w.head, w.header, w.declared, w.refused = r.Method == http.MethodHead, http.Header{}, -1, tooLong
}

// Header is what will be sent; after the body has begun, trailers.
func (w *response) Header() http.Header { return w.header }

// WriteHeader sets the status. One of 1xx is sent at once, and another may follow.
func (w *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic("http2: invalid status " + strconv.Itoa(status))
	}
	if w.status != 0 {
		return
	}
	c := w.s.c
	if status < 200 {
		c.mu.Lock()
		defer c.mu.Unlock()
		if w.s.failed == nil {
			c.out.interim(w.s.id, status, w.header)
			c.flush()
		}
		return
	}
	w.status = status
	if length, ok := lengthOf(w.header); ok {
		w.declared = length
	} else {
		delete(w.header, "Content-Length")
	}
	if w.declared < 0 {
		w.fields = w.header.Clone() // it is sent later
		return
	}
	w.fields = w.header
	c.mu.Lock()
	defer c.mu.Unlock()
	w.begin(nil, w.declared == 0 || w.bodiless())
}

// bodiless says that the answer has no body whatever the handler writes.
func (w *response) bodiless() bool {
	return w.head || w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

// begin sends the header, with conn.mu held; sample is the beginning of the body. With end, that is the answer.
func (w *response) begin(sample []byte, end bool) {
	w.begun = true
	s := w.s
	if s.failed != nil {
		return
	}
	h := w.fields
	if h.Get("Connection") == "close" {
		defer func() { go s.c.endGracefully() }()
	}
	w.announce()
	end = end && len(w.trailers) == 0
	s.c.out.status(w.status)
	_, typed := h["Content-Type"]
	if !typed && len(sample) > 0 && h.Get("Content-Encoding") == "" && w.status != http.StatusNoContent && w.status != http.StatusNotModified {
		s.c.out.field("content-type", http.DetectContentType(sample))
	}
	if _, dated := h["Date"]; !dated {
		s.c.out.literal("date", time.Now().UTC().Format(http.TimeFormat))
	}
	s.c.out.fields(h)
	s.c.out.headers(s.id, end)
	s.answered = end
}

// announce finds the trailers that the handler has named.
func (w *response) announce() {
	for _, list := range w.fields["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			if key := http.CanonicalHeaderKey(strings.TrimSpace(name)); httpguts.ValidTrailerHeader(key) {
				w.trailers = append(w.trailers, key)
			}
		}
	}
}

// Write sends a part of the body, if it is too long to be held back, and waits for the client to make room for it. Errors:
// http.ErrBodyNotAllowed, http.ErrContentLength, and those of a stream or connection that has ended.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	if w.declared >= 0 && w.written+int64(len(p)) > w.declared {
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if !w.begun {
		if n := w.held(); n+len(p) <= smallBody {
			if w.small == nil {
				w.small = smalls.Get().(*[]byte)
			}
			*w.small = append(*w.small, p...)
			return len(p), nil
		}
	}
	c := w.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	err := w.release(p)
	if err == nil && !w.head {
		err = w.s.send(p, w.declared >= 0 && w.written == w.declared && len(w.trailers) == 0 && len(p) > 0)
	}
	if err != nil {
		return 0, err
	}
	if c.out.bytes >= eager {
		c.flush()
	}
	return len(p), nil
}

// WriteParts is Write of one piece that lies in several places; none of them is kept.
func (w *response) WriteParts(parts ...[]byte) error {
	c := w.s.c
	c.mu.Lock()
	if w.streams() && w.s.put(enough, -1, parts...) {
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// streams says that what comes may be sent as it is, with conn.mu held.
func (w *response) streams() bool {
	return w.begun && w.declared < 0 && !w.bodiless() && w.held() == 0
}

// Offer writes one piece unless that takes waiting; only shared is kept, and not copied. See request.Offerer.
func (w *response) Offer(head, shared, tail []byte) (taken bool, later interface{ Flush() }) {
	c := w.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.streams() || !w.s.put(enoughLent, 1, head, shared, tail) {
		return false, nil
	}
	if promised := c.promise(); promised != nil {
		return true, promised
	}
	return true, nil
}

// SetWriteDeadline is until when the client may make the answer wait, forever if zero; without it that is WriteTimeout, which begins anew
// whenever there is progress. See http.ResponseController.
func (w *response) SetWriteDeadline(deadline time.Time) error {
	c := w.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	w.s.deadline, w.s.timed = deadline, true
	w.s.changed.Broadcast()
	return nil
}

// WriteString is Write.
func (w *response) WriteString(text string) (int, error) { return w.Write([]byte(text)) }

func (w *response) held() int {
	if w.small == nil {
		return 0
	}
	return len(*w.small)
}

// release sends the header and what was held back; more is what follows it.
func (w *response) release(more []byte) error {
	if !w.begun {
		sample := more
		if w.held() > 0 {
			sample = *w.small
		}
		w.begin(sample, w.bodiless())
	}
	if w.held() == 0 || w.head {
		return w.s.failed
	}
	err := w.s.send(*w.small, false)
	*w.small = (*w.small)[:0]
	return err
}

// FlushError sends what was written so far, together with what other streams have at the moment.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	c := w.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := w.release(nil); err != nil {
		return err
	}
	c.flushTogether()
	return w.s.failed
}

// Flush is FlushError for those who do not ask.
func (w *response) Flush() { _ = w.FlushError() }

// finish completes the answer when the handler has returned; conn.end sends it.
func (w *response) finish() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	c := w.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.s.failed != nil || w.s.answered {
		return
	}
	if !w.begun {
		w.wholeHeader()
	}
	if w.s.answered {
		return
	}
	if w.declared > w.written && !w.head {
		return // too little: conn.end breaks it off
	}
	trailers := w.trailing()
	rest := []byte(nil)
	if w.held() > 0 && !w.head {
		rest = *w.small
	}
	if err := w.s.send(rest, trailers == nil); err != nil || trailers == nil {
		return
	}
	c.out.fields(trailers)
	c.out.headers(w.s.id, true)
	w.s.answered = true
}

// wholeHeader sends the header of an answer that is known as a whole.
func (w *response) wholeHeader() {
	if _, given := w.fields["Content-Length"]; !given && w.status != http.StatusNoContent && w.status != http.StatusNotModified && (w.held() > 0 || !w.head) {
		w.fields["Content-Length"] = []string{strconv.Itoa(w.held())}
	}
	var sample []byte
	if w.held() > 0 {
		sample = *w.small
	}
	w.begin(sample, w.bodiless() || w.held() == 0 && w.trailing() == nil)
}

// trailing are the trailers: those announced, and those named by http.TrailerPrefix; nil if there are none.
func (w *response) trailing() http.Header {
	var all http.Header
	add := func(key string, values []string) {
		if all == nil {
			all = http.Header{}
		}
		all[key] = values
	}
	for _, key := range w.trailers {
		if values := w.header[key]; len(values) > 0 {
			add(key, values)
		}
	}
	for key, values := range w.header {
		if name, ok := strings.CutPrefix(key, http.TrailerPrefix); ok {
			add(name, values)
		}
	}
	return all
}

func (w *response) free() {
	if w.small != nil {
		*w.small = (*w.small)[:0]
		smalls.Put(w.small)
		w.small = nil
	}
}
