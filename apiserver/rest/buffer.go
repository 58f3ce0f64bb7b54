package rest

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/septet-io/septet/apiserver/request"
)

// buffers are for frames on their way out.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// maxPooled is the largest buffer that is kept.
const maxPooled = 64 << 10

func getBuffer() *[]byte { return buffers.Get().(*[]byte) }

func putBuffer(b *[]byte) {
	if cap(*b) > maxPooled {
		return
	}
	*b = (*b)[:0]
	buffers.Put(b)
}

// compressFrom is the size of an answer from which it is worth compressing, as upstream.
const compressFrom = 128 << 10

func compressible(req *http.Request, size int) bool {
	return size >= compressFrom && acceptsGzip(req)
}

func acceptsGzip(req *http.Request) bool {
	for _, encoding := range strings.Split(req.Header.Get("Accept-Encoding"), ",") {
		name, _, _ := strings.Cut(encoding, ";")
		if strings.TrimSpace(name) == "gzip" {
			return true
		}
	}
	return false
}

// compressors write at the fastest level: what counts is the server's time.
var compressors = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid, so there is no error
	return w
}}

// sendCompressed sends a whole body through gzip; Content-Type is set already.
func sendCompressed(w http.ResponseWriter, req *http.Request, code int, body []byte) error {
	header := w.Header()
	header.Set("Content-Encoding", "gzip")
	header.Add("Vary", "Accept-Encoding")
	request.From(req.Context()).WriteWarnings(header)
	w.WriteHeader(code)
	z := compressors.Get().(*gzip.Writer)
	z.Reset(w)
	defer compressors.Put(z)
	if _, err := z.Write(body); err != nil {
		return wentAway(err)
	}
	return wentAway(z.Close())
}

// SendBody answers with bytes that are ready, compressed where the client wants that and it is worth it.
func SendBody(w http.ResponseWriter, req *http.Request, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	o := startOutput(w, req, http.StatusOK, len(body))
	o.write(body)
	_ = o.close() // a client that went away needs no answer
}

// output is where a long answer goes: buffered, compressed where the client wants that.
type output struct {
	w   io.Writer
	zip *gzip.Writer
	buf *[]byte
	err error
}

// outputSize is how much is collected before it is handed on.
const outputSize = 32 << 10

// startOutput writes the header of an answer of about size bytes.
func startOutput(w http.ResponseWriter, req *http.Request, code, size int) *output {
	o := &output{w: w, buf: getBuffer()}
	if compressible(req, size) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Add("Vary", "Accept-Encoding")
		o.zip = compressors.Get().(*gzip.Writer)
		o.zip.Reset(w)
		o.w = o.zip
	}
	request.From(req.Context()).WriteWarnings(w.Header())
	w.WriteHeader(code)
	return o
}

// write appends bytes that are not kept.
func (o *output) write(bytes []byte) {
	if len(*o.buf)+len(bytes) > outputSize {
		o.flush()
	}
	if len(bytes) > outputSize/2 {
		o.flush()
		o.send(bytes)
		return
	}
	*o.buf = append(*o.buf, bytes...)
}

func (o *output) writeString(s string) {
	if len(*o.buf)+len(s) > outputSize {
		o.flush()
	}
	*o.buf = append(*o.buf, s...)
}

func (o *output) flush() {
	o.send(*o.buf)
	*o.buf = (*o.buf)[:0]
}

func (o *output) send(bytes []byte) {
	if o.err == nil && len(bytes) > 0 {
		_, o.err = o.w.Write(bytes)
	}
}

// close ends the answer. The error is that of the first failed write.
func (o *output) close() error {
	o.flush()
	putBuffer(o.buf)
	if o.zip != nil {
		if o.err == nil {
			o.err = o.zip.Close()
		}
		compressors.Put(o.zip)
	}
	return wentAway(o.err)
}
