package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"
)

// protobufMagic opens every protobuf body.
var protobufMagic = []byte{'k', '8', 's', 0}

// Any offers an answer in each of the three usual formats.
var Any = Offer{ID: "any"}

// Write sends an object of the kind gvk; its TypeMeta is set. For answers that are not on a hot path.
func Write(w http.ResponseWriter, r *http.Request, code int, gvk schema.GroupVersionKind, obj runtime.Object) {
	accept, err := Negotiate(r, &Any)
	if err != nil {
		Error(w, r, err)
		return
	}
	body, err := Encode(accept, gvk, obj)
	if err != nil {
		Error(w, r, err)
		return
	}
	if status, ok := obj.(*metav1.Status); ok {
		From(r.Context()).Status = status
	}
	send(w, r, code, MediaTypes[accept.Format], body)
}

func send(w http.ResponseWriter, r *http.Request, code int, mediaType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", mediaType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	From(r.Context()).WriteWarnings(header)
	w.WriteHeader(code)
	if _, err := w.Write(body); err != nil {
		klog.FromContext(r.Context()).V(4).Info("Client went away before the end of the answer", "err", err)
	}
}

// Encode writes an object as one body, with its TypeMeta set to gvk.
func Encode(accept Accept, gvk schema.GroupVersionKind, obj runtime.Object) ([]byte, error) {
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	switch accept.Format {
	case Protobuf:
		marshaler, ok := obj.(interface{ Marshal() ([]byte, error) })
		if !ok {
			return nil, fmt.Errorf("%T has no protobuf form", obj)
		}
		raw, err := marshaler.Marshal()
		if err != nil {
			return nil, err
		}
		return AppendEnvelope(nil, gvk, raw), nil
	case YAML:
		return yaml.Marshal(obj)
	}
	body, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	if accept.Pretty {
		return Indent(body), nil
	}
	return append(body, '\n'), nil
}

// Indent lays JSON out for people.
func Indent(body []byte) []byte {
	var out bytes.Buffer
	if json.Indent(&out, body, "", "  ") != nil {
		return body
	}
	return out.Bytes()
}

// AppendEnvelope wraps a protobuf message as upstream does: magic, then runtime.Unknown with kind and raw bytes.
func AppendEnvelope(to []byte, gvk schema.GroupVersionKind, raw []byte) []byte {
	to = AppendEnvelopeHead(to, gvk, len(raw))
	to = append(to, raw...)
	return append(to, EnvelopeTail...)
}

// EnvelopeTail follows the raw bytes: an empty content encoding and content type.
const EnvelopeTail = "\x1a\x00\x22\x00"

// AppendEnvelopeHead writes what comes before size raw bytes.
func AppendEnvelopeHead(to []byte, gvk schema.GroupVersionKind, size int) []byte {
	version := gvk.Version
	if gvk.Group != "" {
		version = gvk.Group + "/" + gvk.Version
	}
	to = append(to, protobufMagic...)
	to = append(to, 0x0a)
	to = AppendVarint(to, uint64(2+len(version)+len(gvk.Kind)+varintSize(len(version))-1+varintSize(len(gvk.Kind))-1+2))
	to = append(to, 0x0a)
	to = AppendVarint(to, uint64(len(version)))
	to = append(to, version...)
	to = append(to, 0x12)
	to = AppendVarint(to, uint64(len(gvk.Kind)))
	to = append(to, gvk.Kind...)
	to = append(to, 0x12)
	return AppendVarint(to, uint64(size))
}

func varintSize(n int) int {
	size := 1
	for n >= 0x80 {
		n >>= 7
		size++
	}
	return size
}

// AppendVarint writes a protobuf varint.
func AppendVarint(to []byte, n uint64) []byte {
	for n >= 0x80 {
		to = append(to, byte(n)|0x80)
		n >>= 7
	}
	return append(to, byte(n))
}

var statusKind = schema.GroupVersionKind{Version: "v1", Kind: "Status"}

// Error sends an error as a metav1.Status. Errors that are none become an InternalError with their text.
func Error(w http.ResponseWriter, r *http.Request, err error) {
	status := StatusOf(err)
	From(r.Context()).Status = status
	if details := status.Details; details != nil && details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(details.RetryAfterSeconds)))
	}
	accept, negotiated := Negotiate(r, &Any)
	if negotiated != nil {
		accept = Accept{Format: JSON}
	}
	accept.As = ""
	body, err := Encode(accept, statusKind, status)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-cache, private")
	send(w, r, int(status.Code), MediaTypes[accept.Format], body)
}

// StatusOf is what a client is told about an error.
func StatusOf(err error) *metav1.Status {
	var known apierrors.APIStatus
	if errors.As(err, &known) {
		status := known.Status()
		if status.Status == "" {
			status.Status = metav1.StatusFailure
		}
		if status.Code == 0 {
			status.Code = http.StatusInternalServerError
		}
		return &status
	}
	return &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}
}
