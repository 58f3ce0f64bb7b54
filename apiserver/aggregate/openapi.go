package aggregate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/openapiconv"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/septet-io/septet/resource"
)

// documents are the OpenAPI documents of another server, fetched when somebody asks for them and kept for a while.
type documents struct {
	mu sync.Mutex
	// All below is guarded by mu.
	indexed, fetched time.Time
	// index has the URLs of v3 documents by path below /openapi/v3/; legacy says that the server has none.
	index  map[string]string
	legacy bool
	// v2 is the part of the server's v2 document that describes its group version; nil: it has none.
	v2  *spec.Swagger
	tag string
}

const (
	// freshFor is how long a document is taken for true without asking again.
	freshFor = time.Minute
	// documentTimeout bounds how long somebody who asks for documents waits for another server.
	documentTimeout = 10 * time.Second
)

// documentUser asks other servers for their OpenAPI documents.
var documentUser = resource.User{Name: "system:aggregator"}

// each calls do with every remote that is available, all at once, and waits.
func (a *Aggregator) each(ctx context.Context, do func(r *remote, ctx context.Context) error) []*remote {
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	var all []*remote
	var running sync.WaitGroup
	for _, r := range a.remotes() {
		if !r.available.Load() {
			continue
		}
		all = append(all, r)
		running.Go(func() {
			if err := do(r, ctx); err != nil {
				klog.FromContext(ctx).V(2).Info("No OpenAPI document of an APIService", "apiService", r.name, "err", err)
			}
		})
	}
	running.Wait()
	slices.SortFunc(all, func(x, y *remote) int { return strings.Compare(x.name, y.name) })
	return all
}

// IndexV3 are the URLs of other servers' OpenAPI v3 documents, by their path below /openapi/v3/.
func (a *Aggregator) IndexV3(ctx context.Context) map[string]string {
	index := map[string]string{}
	for _, r := range a.each(ctx, (*remote).fetchIndex) {
		r.documents.mu.Lock()
		for path, location := range r.documents.index {
			index[path] = location
		}
		r.documents.mu.Unlock()
	}
	return index
}

// ServeV3 answers with another server's document; false if none has it.
func (a *Aggregator) ServeV3(w http.ResponseWriter, req *http.Request, path string) bool {
	for _, r := range a.each(req.Context(), (*remote).fetchIndex) {
		r.documents.mu.Lock()
		_, has := r.documents.index[path]
		legacy, v2 := r.documents.legacy, r.documents.v2
		r.documents.mu.Unlock()
		if !has {
			continue
		}
		if !legacy {
			r.ServeHTTP(w, req)
			return true
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(openapiconv.ConvertV2ToV3(v2)) // a client that went away needs no answer
		return true
	}
	return false
}

// fetchIndex reads which v3 documents the server has. Servers older than those have their v2 document converted.
func (r *remote) fetchIndex(ctx context.Context) error {
	d := &r.documents
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.indexed) < freshFor {
		return nil
	}
	d.indexed = time.Now()
	answer, err := r.get(ctx, "/openapi/v3", documentUser, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		d.legacy = false
		return r.readIndex(answer)
	case http.StatusNotFound:
		if err := r.fetchV2Locked(ctx); err != nil || d.v2 == nil {
			return err
		}
		path := "apis/" + r.groupVersion().String()
		d.legacy = true
		d.index = map[string]string{path: "/openapi/v3/" + path + "?hash=" + url.QueryEscape(strings.Trim(d.tag, `"`))}
		return nil
	}
	return fmt.Errorf("/openapi/v3: status %d", answer.StatusCode)
}

// readIndex keeps what belongs to the group: a server's other documents are not this APIService's.
func (r *remote) readIndex(answer *http.Response) error {
	var list struct {
		Paths map[string]struct {
			URL string `json:"serverRelativeURL"`
		} `json:"paths"`
	}
	if err := decode(answer.Body, &list); err != nil {
		return err
	}
	r.documents.index = map[string]string{}
	for path, one := range list.Paths {
		if path == "apis/"+r.spec.Group || path == "apis/"+r.groupVersion().String() {
			r.documents.index[path] = one.URL
		}
	}
	return nil
}

// fetchV2Locked reads the part of the server's v2 document that is about its group version; documents.mu is held.
func (r *remote) fetchV2Locked(ctx context.Context) error {
	d := &r.documents
	if time.Since(d.fetched) < freshFor {
		return nil
	}
	d.fetched = time.Now()
	header := http.Header{"Accept": {"application/json"}}
	if d.tag != "" {
		header.Set("If-None-Match", d.tag)
	}
	answer, err := r.get(ctx, "/openapi/v2", documentUser, header)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusNotModified:
		return nil
	case http.StatusNotFound:
		d.v2, d.tag = nil, ""
		return nil
	case http.StatusOK:
	default:
		return fmt.Errorf("/openapi/v2: status %d", answer.StatusCode)
	}
	data, err := read(answer.Body)
	if err != nil {
		return err
	}
	whole := &spec.Swagger{}
	if err := whole.UnmarshalJSON(data); err != nil {
		return err
	}
	d.v2 = aggregator.FilterSpecByPathsWithoutSideEffects(whole, []string{"/apis/" + r.groupVersion().String() + "/"})
	if d.tag = answer.Header.Get("Etag"); d.tag == "" {
		d.tag = hashOf(data)
	}
	return nil
}

// TagsV2 changes whenever another server's v2 document does; empty without other servers.
func (a *Aggregator) TagsV2(ctx context.Context) string {
	if a.table.Load() == nil {
		return ""
	}
	var tags strings.Builder
	for _, r := range a.each(ctx, (*remote).fetchV2) {
		r.documents.mu.Lock()
		tags.WriteString(r.name + r.documents.tag)
		r.documents.mu.Unlock()
	}
	return tags.String()
}

func (r *remote) fetchV2(ctx context.Context) error {
	r.documents.mu.Lock()
	defer r.documents.mu.Unlock()
	return r.fetchV2Locked(ctx)
}

// MergeV2 adds other servers' v2 documents to this server's. Definitions of one name that differ are renamed.
func (a *Aggregator) MergeV2(ctx context.Context, own []byte) ([]byte, error) {
	remotes := a.each(ctx, (*remote).fetchV2)
	if len(remotes) == 0 {
		return own, nil
	}
	merged := &spec.Swagger{}
	if err := merged.UnmarshalJSON(own); err != nil {
		return nil, err
	}
	for _, r := range remotes {
		r.documents.mu.Lock()
		theirs := r.documents.v2
		r.documents.mu.Unlock()
		if theirs == nil || theirs.Paths == nil {
			continue
		}
		if err := aggregator.MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters(merged, theirs); err != nil {
			klog.FromContext(ctx).V(2).Info("The OpenAPI document of an APIService is left out", "apiService", r.name, "err", err)
		}
	}
	return json.Marshal(merged)
}
