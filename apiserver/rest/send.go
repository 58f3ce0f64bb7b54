package rest

import (
	"net/http"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
)

// offers are what objects and collections can be sent as: custom resources have no protobuf form.
var (
	offer       = request.Offer{ID: "object", As: canShow}
	offerCustom = request.Offer{ID: "custom", As: canShow, Formats: []request.Format{request.JSON, request.YAML}}
)

// canShow says which other kinds may stand for an object: Table and PartialObjectMetadata. Tables have no protobuf form.
func canShow(kind, group, version string, format request.Format) bool {
	if group != "meta.k8s.io" || version != "v1" && version != "v1beta1" {
		return false
	}
	switch kind {
	case "Table":
		return format != request.Protobuf
	case "PartialObjectMetadata", "PartialObjectMetadataList":
		return true
	}
	return false
}

func (r *Resource) offer() *request.Offer {
	if r.layout.unstructured {
		return &offerCustom
	}
	return &offer
}

// bodyFormats are what bodies of the kind may be written in.
func (r *Resource) bodyFormats() []request.Format { return r.offer().Formats }

// sendItem answers with one object, in the form that the client accepts.
func (r *Resource) sendItem(w http.ResponseWriter, req *http.Request, code int, item *store.Item) error {
	accept, err := request.Negotiate(req, r.offer())
	if err != nil {
		return err
	}
	if s := request.From(req.Context()); s.Unread && s.Record == nil {
		w.WriteHeader(code)
		return nil
	}
	if accept.As == "Table" {
		return r.sendTable(w, req, code, accept, &store.Page{Items: []*store.Item{item}}, item.Object.GetResourceVersion())
	}
	gvk := r.GroupVersionKind
	if accept.As != "" {
		gvk = partialKind
		gvk.Version = accept.Version
	}
	bytes, err := item.Encoded(r.forms[formOf(accept)])
	if err != nil {
		return err
	}
	return sendBytes(w, req, code, accept, gvk, bytes)
}

// formOf is the shared form from which an answer is made.
func formOf(accept request.Accept) form {
	switch {
	case accept.As != "" && accept.Format == request.Protobuf:
		return formPartialProtobuf
	case accept.As != "":
		return formPartialJSON
	case accept.Format == request.Protobuf:
		return formProtobuf
	}
	return formJSON
}

// sendBytes frames one object's shared bytes as a whole answer.
func sendBytes(w http.ResponseWriter, req *http.Request, code int, accept request.Accept, gvk schema.GroupVersionKind, bytes []byte) error {
	out := getBuffer()
	defer putBuffer(out)
	switch {
	case accept.Format == request.Protobuf:
		*out = request.AppendEnvelope(*out, gvk, bytes)
	case accept.Format == request.YAML:
		converted, err := yaml.JSONToYAML(bytes)
		if err != nil {
			return err
		}
		*out = append(*out, converted...)
	case accept.Pretty:
		*out = append(*out, request.Indent(bytes)...)
	default:
		*out = append(append(*out, bytes...), '\n')
	}
	header := w.Header()
	header["Content-Type"] = contentTypes[accept.Format]
	if compressible(req, len(*out)) {
		return sendCompressed(w, req, code, *out)
	}
	header.Set("Content-Length", strconv.Itoa(len(*out)))
	request.From(req.Context()).WriteWarnings(header)
	w.WriteHeader(code)
	_, err := w.Write(*out)
	return wentAway(err)
}

// contentTypes are header values made once.
var contentTypes = map[request.Format][]string{
	request.JSON:     {request.MediaTypes[request.JSON]},
	request.YAML:     {request.MediaTypes[request.YAML]},
	request.Protobuf: {request.MediaTypes[request.Protobuf]},
	request.CBOR:     {request.MediaTypes[request.CBOR]},
}

// errWentAway is a client that stopped reading: nothing can be told to it.
type errWentAway struct{ error }

func (e errWentAway) Unwrap() error { return e.error }

func wentAway(err error) error {
	if err == nil {
		return nil
	}
	return errWentAway{err}
}
