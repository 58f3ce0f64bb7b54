package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// list serves GET on a collection: a concatenation of bytes that are shared with all other answers.
func (r *Resource) list(w http.ResponseWriter, req *http.Request, s *request.State) error {
	options, query, err := r.listOptions(req, s)
	if err != nil {
		return err
	}
	accept, err := request.Negotiate(req, r.offer())
	if err != nil {
		return err
	}
	ctx := req.Context()
	if limit := timeout(options); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, min(limit, time.Minute))
		defer cancel()
	}
	page, err := r.Open().List(ctx, query)
	if err != nil {
		return err
	}
	return r.sendPage(w, req, accept, page)
}

// sendPage writes a page as a list, a Table or a list of metadata.
func (r *Resource) sendPage(w http.ResponseWriter, req *http.Request, accept request.Accept, page *store.Page) error {
	page, err := r.converted(page)
	if err != nil {
		return err
	}
	if accept.As == "Table" {
		return r.sendTable(w, req, http.StatusOK, accept, page, formatRevision(page.Revision))
	}
	gvk := r.listKind()
	if accept.As != "" {
		gvk = schema.GroupVersionKind{Group: partialKind.Group, Version: accept.Version, Kind: "PartialObjectMetadataList"}
	}
	items, err := r.itemsOf(page, accept)
	if err != nil {
		return err
	}
	w.Header()["Content-Type"] = contentTypes[accept.Format]
	switch {
	case accept.Format == request.Protobuf:
		return sendProtobufList(w, req, gvk, page, items)
	case accept.Format == request.YAML || accept.Pretty:
		return r.sendReadableList(w, req, accept, gvk, page, items)
	}
	o := startOutput(w, req, http.StatusOK, items.size)
	o.write(listHead(gvk, page))
	cut := r.kindCut(accept)
	for i, item := range page.Items {
		bytes, err := items.bytes(item)
		if err != nil {
			breakOff(req, err)
		}
		if i > 0 {
			o.writeString(",")
		}
		if cut > 0 && len(bytes) > cut {
			o.writeString("{")
			bytes = bytes[cut:]
		}
		o.write(bytes)
	}
	o.writeString("]}\n")
	return o.close()
}

// converted is a page whose objects are of the served version already, where all are better converted at once.
func (r *Resource) converted(page *store.Page) (*store.Page, error) {
	if r.Custom == nil || !r.Custom.Batch || len(page.Items) == 0 {
		return page, nil
	}
	stored := make([]resource.Object, len(page.Items))
	for i, item := range page.Items {
		stored[i] = item.Object
	}
	served, err := r.From(stored)
	if err != nil {
		return nil, err
	}
	whole := *page
	whole.Items = slices.Clone(page.Items)
	for i, obj := range served {
		if obj != stored[i] {
			whole.Items[i] = &store.Item{Key: page.Items[i].Key, Object: obj, Revision: page.Items[i].Revision}
		}
	}
	return &whole, nil
}

// breakOff ends an answer whose header is out already, so that the client sees that it is not whole.
func breakOff(req *http.Request, err error) {
	klog.FromContext(req.Context()).Error(err, "An answer was broken off")
	panic(http.ErrAbortHandler)
}

// kindCut is how much of an item's JSON is left out, since items of typed lists carry no kind.
func (r *Resource) kindCut(accept request.Accept) int {
	if accept.As != "" || r.layout.unstructured {
		return 0
	}
	return len(jsonHead(r.GroupVersionKind)) + 1
}

// pageItems gives the bytes of a page's items. Those of a page that is too long to be kept are made as they are sent, so
// that neither the page nor what it would push out of memory costs any.
type pageItems struct {
	form    store.Encoding
	passing bool
	size    int // of all, about
	measure func(resource.Object) (int, error)
}

// sampled is by how many items the size of a page is judged.
const sampled = 64

func (r *Resource) itemsOf(page *store.Page, accept request.Accept) (*pageItems, error) {
	form := formOf(accept)
	p := &pageItems{form: r.forms[form], measure: r.protobufSize}
	if form == formPartialProtobuf {
		p.measure = partialSize
	}
	for _, item := range page.Items[:min(sampled, len(page.Items))] {
		bytes, err := item.Encoded(p.form)
		if err != nil {
			return nil, err
		}
		p.size += len(bytes)
	}
	if n := len(page.Items); n > sampled {
		p.size = p.size / sampled * n
		p.passing = !store.Keepable(p.size)
	}
	return p, nil
}

func (p *pageItems) bytes(item *store.Item) ([]byte, error) {
	if p.passing {
		return item.Passing(p.form)
	}
	return item.Encoded(p.form)
}

// length is that of an item's protobuf.
func (p *pageItems) length(item *store.Item) (int, error) {
	if p.passing {
		return p.measure(item.Object)
	}
	bytes, err := item.Encoded(p.form)
	return len(bytes), err
}

// listMeta is the metadata of a page.
func listMeta(page *store.Page) metav1.ListMeta {
	return metav1.ListMeta{
		ResourceVersion: formatRevision(page.Revision), Continue: page.Continue, RemainingItemCount: page.Remaining,
	}
}

// listHead is the JSON of a list up to its first item.
func listHead(gvk schema.GroupVersionKind, page *store.Page) []byte {
	head := append(make([]byte, 0, 256), jsonHead(gvk)...)
	head = append(head, `,"metadata":{"resourceVersion":"`...)
	head = strconv.AppendInt(head, page.Revision, 10)
	head = append(head, '"')
	if page.Continue != "" {
		token, _ := json.Marshal(page.Continue) // a string always marshals
		head = append(append(head, `,"continue":`...), token...)
	}
	if page.Remaining != nil {
		head = strconv.AppendInt(append(head, `,"remainingItemCount":`...), *page.Remaining, 10)
	}
	return append(head, `},"items":[`...)
}

// sendReadableList writes a list for people; it is built whole.
func (r *Resource) sendReadableList(w http.ResponseWriter, req *http.Request, accept request.Accept, gvk schema.GroupVersionKind, page *store.Page, items *pageItems) error {
	body := listHead(gvk, page)
	cut := r.kindCut(accept)
	for i, item := range page.Items {
		bytes, err := items.bytes(item)
		if err != nil {
			return err
		}
		if i > 0 {
			body = append(body, ',')
		}
		if cut > 0 && len(bytes) > cut {
			body = append(body, '{')
			bytes = bytes[cut:]
		}
		body = append(body, bytes...)
	}
	body = append(body, "]}"...)
	if accept.Format == request.YAML {
		converted, err := yaml.JSONToYAML(body)
		if err != nil {
			return err
		}
		body = converted
	} else {
		body = request.Indent(body)
	}
	o := startOutput(w, req, http.StatusOK, len(body))
	o.write(body)
	return o.close()
}

// sendProtobufList writes a list message: field 1 is its metadata, each field 2 an item.
func sendProtobufList(w http.ResponseWriter, req *http.Request, gvk schema.GroupVersionKind, page *store.Page, items *pageItems) error {
	meta := listMeta(page)
	metaBytes, err := meta.Marshal()
	if err != nil {
		return err
	}
	total := 1 + varintLen(len(metaBytes)) + len(metaBytes)
	for _, item := range page.Items {
		n, err := items.length(item)
		if err != nil {
			return err
		}
		total += 1 + varintLen(n) + n
	}
	head := request.AppendEnvelopeHead(make([]byte, 0, 128), gvk, total)
	head = request.AppendVarint(append(head, 0x0a), uint64(len(metaBytes)))
	head = append(head, metaBytes...)
	o := startOutput(w, req, http.StatusOK, total)
	o.write(head)
	var tag [11]byte
	tag[0] = 0x12
	for _, item := range page.Items {
		bytes, err := items.bytes(item)
		if err != nil {
			breakOff(req, err)
		}
		o.write(request.AppendVarint(tag[:1], uint64(len(bytes))))
		o.write(bytes)
	}
	o.writeString(request.EnvelopeTail)
	return o.close()
}

func varintLen(n int) int {
	size := 1
	for n >= 0x80 {
		n >>= 7
		size++
	}
	return size
}
