package apiserver

import (
	"bufio"
	"fmt"
	"net"
	"net/http"

	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/septet-io/septet/apiserver/request"
)

// call is a request on its way through the chain.
type call struct {
	recorder recorder
	r        *http.Request
	state    request.State
	// after runs when the request is over, backwards.
	after []func()
	// dropped says that the request was not let in, since there are too many.
	dropped bool
	// cause is that of a panic, nil without one.
	cause any
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	// code is zero until the header is written.
	code int
	size int64
	// record, when set, is told what is answered.
	record request.Record
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.begin(code)
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) begin(code int) {
	r.code = code
	if r.record != nil {
		r.record.Started(code)
	}
}

// Write notes the size.
func (r *recorder) Write(bytes []byte) (int, error) {
	if r.code == 0 {
		r.begin(http.StatusOK)
	}
	if r.record != nil {
		r.record.Wrote(bytes)
	}
	n, err := r.ResponseWriter.Write(bytes)
	r.size += int64(n)
	return n, err
}

// WriteParts is Write of several parts, see request.WriteParts.
func (r *recorder) WriteParts(parts ...[]byte) error {
	if r.code == 0 {
		r.begin(http.StatusOK)
	}
	for _, part := range parts {
		if r.record != nil {
			r.record.Wrote(part)
		}
		r.size += int64(len(part))
	}
	return request.WriteParts(r.ResponseWriter, parts...)
}

// Offer is request.Offerer. Only one at a time writes or offers, so nothing here needs a lock.
func (r *recorder) Offer(head, shared, tail []byte) (bool, request.Flusher) {
	below, ok := r.ResponseWriter.(request.Offerer)
	if !ok {
		return false, nil
	}
	taken, later := below.Offer(head, shared, tail)
	if taken {
		if r.record != nil {
			for _, part := range [...][]byte{head, shared, tail} {
				r.record.Wrote(part)
			}
		}
		r.size += int64(len(head) + len(shared) + len(tail))
	}
	return taken, later
}

// Unwrap lets http.ResponseController reach what is below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush hands on what is buffered, if that can be done.
func (r *recorder) Flush() {
	if flusher, ok := r.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

// Hijack takes the connection over, for upgrades.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hijacker, ok := r.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, fmt.Errorf("%T cannot be upgraded", r.ResponseWriter)
	}
	if r.code == 0 {
		r.begin(http.StatusSwitchingProtocols)
	}
	return hijacker.Hijack()
}

// maxAuditID bounds the Audit-ID that a client may choose.
const maxAuditID = 64

// auditID is the client's own, or a new one.
func auditID(r *http.Request) string {
	if id := r.Header.Get("Audit-Id"); id != "" && len(id) <= maxAuditID {
		return id
	}
	return string(uuid.NewUUID())
}
