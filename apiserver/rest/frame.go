package rest

import (
	"encoding/binary"
	"net/http"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
)

// framer writes watch events: JSON objects, or length-prefixed protobuf WatchEvents. An object's own bytes are shared with
// all other watchers and answers.
type framer struct {
	r      *Resource
	accept request.Accept
	// gvk of the objects in the frames.
	gvk   schema.GroupVersionKind
	table *table
	// headed is set once a Table has told its columns.
	headed bool
	// initial is set until what there was at the beginning has been sent.
	initial bool
	// message leaves out what separates frames: a WebSocket does that.
	message bool
}

func (r *Resource) newFramer(req *http.Request, accept request.Accept) (*framer, error) {
	f := &framer{r: r, accept: accept, gvk: r.GroupVersionKind}
	if accept.Format == request.YAML {
		f.accept.Format = request.JSON
	}
	switch accept.As {
	case "Table":
		table, err := r.newTable(req, accept.Version)
		f.table = table
		return f, err
	case "":
	default:
		f.gvk = partialKind
		f.gvk.Version = accept.Version
	}
	return f, nil
}

func (f *framer) contentType() string {
	if f.accept.Format == request.JSON {
		return request.MediaTypes[request.JSON]
	}
	return request.MediaTypes[f.accept.Format] + ";stream=watch"
}

// frame is an event as it is sent, in three parts so that the object's bytes need not be copied. They are valid until the next one
// is made.
type frame struct{ head, object, tail []byte }

// whole returns the frame in one piece of its own.
func (f frame) whole() []byte { return slices.Concat(f.head, f.object, f.tail) }

// heads begin the JSON of events.
var heads = func() map[watch.EventType][]byte {
	all := map[watch.EventType][]byte{}
	for _, kind := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted, watch.Bookmark, watch.Error} {
		all[kind] = []byte(`{"type":"` + string(kind) + `","object":`)
	}
	return all
}()

var tail, messageTail = []byte("}\n"), []byte("}")

// frame makes the frame of an event. What is not shared lies in scratch, which is used again for the next one.
func (f *framer) frame(event *store.Event, scratch *[]byte) (frame, error) {
	*scratch = (*scratch)[:0]
	if f.accept.Format == request.Protobuf {
		return f.protobuf(event, scratch)
	}
	object, err := f.object(event, scratch)
	if f.message {
		return frame{heads[event.Type], object, messageTail}, err
	}
	return frame{heads[event.Type], object, tail}, err
}

// ready says that frames are made of an object's shared bytes, and without asking anybody.
func (f *framer) ready() bool { return f.table == nil && f.r.Custom == nil }

// isEncoded says that a frame costs next to nothing.
func (f *framer) isEncoded(event *store.Event) bool {
	return event.Item != nil && event.Item.IsEncoded(f.r.forms[formOf(f.accept)])
}

func (f *framer) object(event *store.Event, scratch *[]byte) (object []byte, err error) {
	switch {
	case event.Type == watch.Error:
		return marshalStatus(event.Err)
	case f.table != nil:
		*scratch, err = f.appendTable(*scratch, event)
		return *scratch, err
	}
	return f.item(event).Encoded(f.r.forms[formOf(f.accept)])
}

// appendTable writes an event as a Table of one row; only the first has the columns.
func (f *framer) appendTable(to []byte, event *store.Event) ([]byte, error) {
	item := f.item(event)
	to, err := f.table.appendHead(to, metav1.ListMeta{ResourceVersion: item.Object.GetResourceVersion()}, !f.headed)
	if err != nil {
		return nil, err
	}
	f.headed = true
	if to, err = f.table.appendRow(to, item); err != nil {
		return nil, err
	}
	return append(to, "]}"...), nil
}

// item is what an event shows; a bookmark shows an empty object with nothing but the revision.
func (f *framer) item(event *store.Event) *store.Item {
	if event.Type != watch.Bookmark {
		return event.Item
	}
	obj := f.r.stored().New()
	obj.GetObjectKind().SetGroupVersionKind(f.r.stored().GroupVersionKind)
	if f.r.Custom != nil {
		obj = f.r.empty() // nothing that a webhook would have to convert
	}
	obj.SetResourceVersion(formatRevision(event.Item.Revision))
	if event.Initial {
		obj.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	return &store.Item{Object: obj, Revision: event.Item.Revision}
}

// protobuf makes four bytes of length, then a WatchEvent: field 1 its type, field 2 a RawExtension whose field 1
// is an object in its envelope.
func (f *framer) protobuf(event *store.Event, scratch *[]byte) (frame, error) {
	gvk, raw, err := f.protobufObject(event)
	if err != nil {
		return frame{}, err
	}
	envelope := request.AppendEnvelopeHead(*scratch, gvk, len(raw))
	object := len(envelope) + len(raw) + len(request.EnvelopeTail)
	extension := 1 + varintLen(object) + object
	size := 2 + len(event.Type) + 1 + varintLen(extension) + extension
	// The head goes behind its envelope's, whose length it must know.
	to := envelope
	if !f.message {
		to = binary.BigEndian.AppendUint32(to, uint32(size))
	}
	to = append(to, 0x0a, byte(len(event.Type)))
	to = append(to, event.Type...)
	to = request.AppendVarint(append(to, 0x12), uint64(extension))
	to = request.AppendVarint(append(to, 0x0a), uint64(object))
	to = append(to, to[:len(envelope)]...)
	*scratch = to
	return frame{to[len(envelope):], raw, envelopeTail}, nil
}

var envelopeTail = []byte(request.EnvelopeTail)

func (f *framer) protobufObject(event *store.Event) (schema.GroupVersionKind, []byte, error) {
	if event.Type == watch.Error {
		status := ErrorStatus(event.Err)
		raw, err := status.Marshal()
		return schema.GroupVersionKind{Version: "v1", Kind: "Status"}, raw, err
	}
	raw, err := f.item(event).Encoded(f.r.forms[formOf(f.accept)])
	return f.gvk, raw, err
}
