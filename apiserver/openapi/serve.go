package openapi

import (
	"context"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
)

// Handler serves /openapi/v2 and /openapi/v3 of what a registry serves.
type Handler struct {
	Registry *rest.Registry
	// Foreign, when set, answers for group versions of other servers.
	Foreign Foreign
}

// Foreign is the documents of other servers.
type Foreign interface {
	// IndexV3 are the URLs of their v3 documents by path below /openapi/v3/; ServeV3 answers with one of them, false if there is none.
	IndexV3(ctx context.Context) map[string]string
	ServeV3(w http.ResponseWriter, r *http.Request, path string) bool
	// TagsV2 changes whenever one of their v2 documents does; empty without other servers. MergeV2 adds them to this server's.
	TagsV2(ctx context.Context) string
	MergeV2(ctx context.Context, own []byte) ([]byte, error)
}

// source is what a document of v3 is made from.
type source struct {
	hash  string
	build func(*definitions) (*document, error)
}

// sources are all documents by path below /openapi/v3/, with hashes that change when the documents do. No document is made for it.
func (h *Handler) sources() map[string]source {
	all := map[string]source{}
	add := func(path, from string, build func(*definitions) (*document, error)) {
		sum := sha512.Sum512([]byte(packedHash() + path + from))
		all[path] = source{hash: fmt.Sprintf("%X", sum), build: build}
	}
	groups := map[schema.GroupVersion][]*rest.Resource{}
	for r := range h.Registry.All().Shown() {
		gv := r.GroupVersionKind.GroupVersion()
		groups[gv] = append(groups[gv], r)
	}
	for gv, resources := range groups {
		path := "apis/" + gv.String()
		if gv.Group == "" {
			path = "api/" + gv.Version
		} else {
			upper, lower := groupNames(gv.Group)
			add("apis/"+gv.Group, "", func(d *definitions) (*document, error) {
				return root(d, "/apis/"+gv.Group+"/", "get"+upper+"APIGroup", "get information of a group", lower, "APIGroup")
			})
		}
		add(path, fingerprint(resources), func(d *definitions) (*document, error) { return groupVersion(d, gv, resources) })
	}
	add("api", "", func(d *definitions) (*document, error) {
		return root(d, "/api/", "getCoreAPIVersions", "get available API versions", "core", "APIVersions")
	})
	add("apis", "", func(d *definitions) (*document, error) {
		return root(d, "/apis/", "getAPIVersions", "get available API versions", "apis", "APIGroupList")
	})
	add("version", "", func(d *definitions) (*document, error) {
		return plain(d, "/version/", "getCodeVersion", "get the version information for this server", "version", "application/json", "io.k8s.apimachinery.pkg.version.Info"), nil
	})
	add("openid/v1/jwks", "", func(d *definitions) (*document, error) {
		return plain(d, "/openid/v1/jwks/", "getServiceAccountIssuerOpenIDKeyset", "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)", "openid", "application/jwk-set+json", ""), nil
	})
	return all
}

// fingerprint changes when what is known of resources does.
func fingerprint(resources []*rest.Resource) string {
	var b strings.Builder
	for _, r := range resources {
		fmt.Fprint(&b, r.Kind.Resource, r.Verbs, r.Scale != nil, len(r.Views), len(r.Connectors), r.Custom.Version(), ";")
	}
	return b.String()
}

// ServeV3 answers /openapi/v3 with the index and /openapi/v3/<path> with a document.
func (h *Handler) ServeV3(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/openapi/v3"), "/")
	sources := h.sources()
	if path == "" {
		h.index(w, r, sources)
		return
	}
	found, ok := sources[path]
	if !ok {
		if h.Foreign == nil || !h.Foreign.ServeV3(w, r, path) {
			http.NotFound(w, r)
		}
		return
	}
	asked := r.URL.Query().Get("hash")
	if asked != "" && asked != found.hash {
		location := url.URL{Path: r.URL.Path, RawQuery: url.Values{"hash": {found.hash}}.Encode()}
		http.Redirect(w, r, location.String(), http.StatusMovedPermanently)
		return
	}
	if asked != "" { // the hash is part of the URL, so the answer never changes
		w.Header().Set("Cache-Control", "public, immutable")
		w.Header().Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
	}
	h.send(w, r, found)
}

func (h *Handler) send(w http.ResponseWriter, r *http.Request, found source) {
	etag := `"` + found.hash + `"`
	w.Header().Set("Etag", etag)
	w.Header().Set("Vary", "Accept")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := found.json()
	if err != nil {
		request.Error(w, r, err)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "proto-openapi.spec.v3") && !strings.HasPrefix(r.Header.Get("Accept"), "application/json") {
		if body, err = protobufV3(body); err != nil {
			request.Error(w, r, err)
			return
		}
		rest.SendBody(w, r, "application/com.github.proto-openapi.spec.v3.v1.0+protobuf", body)
		return
	}
	rest.SendBody(w, r, "application/json", body)
}

func (s *source) json() ([]byte, error) {
	d, err := unpack()
	if err != nil {
		return nil, err
	}
	doc, err := s.build(d)
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

// index lists the documents with URLs that change when they do.
func (h *Handler) index(w http.ResponseWriter, r *http.Request, sources map[string]source) {
	paths := map[string]object{}
	for path, s := range sources {
		paths[path] = object{"serverRelativeURL": "/openapi/v3/" + path + "?hash=" + s.hash}
	}
	if h.Foreign != nil {
		for path, location := range h.Foreign.IndexV3(r.Context()) {
			if paths[path] == nil {
				paths[path] = object{"serverRelativeURL": location}
			}
		}
	}
	body, err := json.Marshal(object{"paths": paths})
	if err != nil {
		request.Error(w, r, err)
		return
	}
	etag := fmt.Sprintf("%q", fmt.Sprintf("%X", sha512.Sum512(body)))
	w.Header().Set("Etag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	rest.SendBody(w, r, "application/json", body)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
