package request

import (
	"mime"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Format is a wire format.
type Format int

// The formats that bodies are read and written in.
const (
	JSON Format = iota
	YAML
	Protobuf
	CBOR
)

// MediaTypes are the names of the formats.
var MediaTypes = [...]string{
	JSON: "application/json", YAML: "application/yaml", Protobuf: "application/vnd.kubernetes.protobuf", CBOR: "application/cbor",
}

// Accept is the form in which a client wants its answer.
type Accept struct {
	Format Format
	// As names another kind that stands for the object: Table, PartialObjectMetadata, PartialObjectMetadataList,
	// APIGroupDiscoveryList; empty for the object itself. Group and Version are that kind's.
	As, Group, Version string
	// Pretty indents JSON.
	Pretty bool
	// Stream is set for streams of frames: "watch".
	Stream bool
}

// Offer is what a resource can be sent as.
type Offer struct {
	// Formats in order of preference: the first serves */*. All of JSON, YAML and Protobuf if nil.
	Formats []Format
	// As says whether the resource can be shown as another kind, in a format; nil: never.
	As func(kind, group, version string, format Format) bool
	// ID keeps negotiated answers of different Offers apart in the cache.
	ID string
}

// formats is what most resources offer, in the order that upstream lists them in errors.
var allFormats = []Format{JSON, YAML, Protobuf}

// accepts caches what Accept headers came out as: there are few different ones. Keys are Offer.ID + header.
var (
	accepts     sync.Map
	acceptCount atomic.Int64
)

// maxAccepts bounds the cache, and maxAcceptHeader the length of a header that is kept.
const maxAccepts, maxAcceptHeader = 512, 256

type acceptResult struct {
	accept Accept
	ok     bool
}

// Negotiate picks the form of an answer from the Accept header. The error is NotAcceptable (406).
func Negotiate(r *http.Request, offer *Offer) (Accept, error) {
	header := r.Header.Get("Accept")
	key := offer.ID + "\x00" + header
	var result acceptResult
	if cached, ok := accepts.Load(key); ok {
		result = cached.(acceptResult)
	} else {
		result = negotiate(header, offer)
		if len(header) <= maxAcceptHeader && acceptCount.Load() < maxAccepts {
			acceptCount.Add(1)
			accepts.Store(key, result)
		}
	}
	if !result.ok {
		return Accept{}, notAcceptable(offer)
	}
	if result.accept.Format == JSON && !result.accept.Pretty {
		result.accept.Pretty = wantsPretty(r)
	}
	return result.accept, nil
}

// clause is one alternative of an Accept header.
type clause struct {
	mediaType string
	params    map[string]string
	quality   float64
}

func negotiate(header string, offer *Offer) acceptResult {
	if header == "" {
		return acceptResult{Accept{Format: offer.formats()[0]}, true}
	}
	var clauses []clause
	for _, part := range strings.Split(header, ",") {
		mediaType, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		c := clause{mediaType: mediaType, params: params, quality: 1}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
			c.quality = q
		}
		clauses = append(clauses, c)
	}
	sort.SliceStable(clauses, func(i, j int) bool { return clauses[i].quality > clauses[j].quality })
	for _, c := range clauses {
		for _, format := range offer.formats() {
			if !matches(c.mediaType, MediaTypes[format]) {
				continue
			}
			accept, ok := c.accept(format, offer)
			if ok {
				return acceptResult{accept, true}
			}
		}
	}
	return acceptResult{}
}

// accept reads the parameters of a clause; false if it wants what the resource has not.
func (c *clause) accept(format Format, offer *Offer) (Accept, bool) {
	accept := Accept{
		Format: format, As: c.params["as"], Group: c.params["g"], Version: c.params["v"],
		Pretty: c.params["pretty"] == "1", Stream: c.params["stream"] != "",
	}
	if stream := c.params["stream"]; stream != "" && stream != "watch" {
		return Accept{}, false
	}
	if accept.As == "" {
		return accept, true
	}
	return accept, offer.As != nil && offer.As(accept.As, accept.Group, accept.Version, format)
}

func (o *Offer) formats() []Format {
	if o.Formats == nil {
		return allFormats
	}
	return o.Formats
}

func matches(wanted, offered string) bool {
	if wanted == offered || wanted == "*/*" || wanted == "*" {
		return true
	}
	major, minor, _ := strings.Cut(wanted, "/")
	return minor == "*" && strings.HasPrefix(offered, major+"/")
}

// wantsPretty says whether a person is likely to read the answer: upstream's rule.
func wantsPretty(r *http.Request) bool {
	if query := r.URL.RawQuery; query != "" && strings.Contains(query, "pretty") {
		if values, given := Query(r)["pretty"]; given {
			return truthy(values)
		}
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

func notAcceptable(offer *Offer) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
		Message: "only the following media types are accepted: " + mediaTypes(offer.formats()),
	}}
}

// BodyFormat reads the Content-Type of a body; JSON if there is none. The error is UnsupportedMediaType (415).
func BodyFormat(r *http.Request, offered []Format) (Format, error) {
	if offered == nil {
		offered = allFormats
	}
	header := r.Header.Get("Content-Type")
	if header == "" {
		return offered[0], nil
	}
	for _, format := range offered {
		if header == MediaTypes[format] {
			return format, nil
		}
	}
	if mediaType, _, err := mime.ParseMediaType(header); err == nil {
		for _, format := range offered {
			if mediaType == MediaTypes[format] {
				return format, nil
			}
		}
	}
	return JSON, Unsupported(mediaTypes(offered))
}

// Unsupported is the error for a body in a format that is not read; accepted lists those that are.
func Unsupported(accepted string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: "the body of the request was in an unknown format - accepted media types include: " + accepted,
	}}
}

func mediaTypes(formats []Format) string {
	names := make([]string, len(formats))
	for i, format := range formats {
		names[i] = MediaTypes[format]
	}
	return strings.Join(names, ", ")
}
