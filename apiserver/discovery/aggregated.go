package discovery

import (
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"net/http"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	apidiscoverybeta "k8s.io/api/apidiscovery/v2beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/request"
)

// offer is the old form and the aggregated one, in both of its versions.
var offer = request.Offer{ID: "discovery", As: func(kind, group, version string, _ request.Format) bool {
	return kind == "APIGroupDiscoveryList" && group == "apidiscovery.k8s.io" && (version == "v2" || version == "v2beta1")
}}

// document is an aggregated answer, ready to send.
type document struct {
	body []byte
	etag string
}

// serveAggregated answers with all groups at once; a client that has the newest already is told so.
func (m *model) serveAggregated(w http.ResponseWriter, r *http.Request, accept request.Accept, groups []apidiscovery.APIGroupDiscovery, which string) {
	doc, err := m.document(accept, groups, which)
	if err != nil {
		request.Error(w, r, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", fmt.Sprintf("%s;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList", request.MediaTypes[accept.Format], accept.Version))
	header.Set("ETag", doc.etag)
	header.Set("Cache-Control", "public")
	if r.Header.Get("If-None-Match") == doc.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(doc.body) // a client that went away needs no answer
}

func (m *model) document(accept request.Accept, groups []apidiscovery.APIGroupDiscovery, which string) (*document, error) {
	key := fmt.Sprint(which, accept.Format, accept.Version, accept.Pretty)
	if found, ok := m.documents.Load(key); ok {
		return found.(*document), nil
	}
	list := &apidiscovery.APIGroupDiscoveryList{Items: groups}
	gvk := schema.GroupVersionKind{Group: "apidiscovery.k8s.io", Version: accept.Version, Kind: "APIGroupDiscoveryList"}
	plain, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	var obj runtime.Object = list
	if accept.Version == "v2beta1" {
		beta := &apidiscoverybeta.APIGroupDiscoveryList{}
		if err := json.Unmarshal(plain, beta); err != nil { // the two versions have the same fields
			return nil, err
		}
		obj = beta
	}
	body, err := request.Encode(accept, gvk, obj)
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum512(plain)
	doc := &document{body: body, etag: fmt.Sprintf("%q", fmt.Sprintf("%X", sum))}
	m.documents.Store(key, doc)
	return doc, nil
}
