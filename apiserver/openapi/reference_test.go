package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	openapiv2 "github.com/google/gnostic-models/openapiv2"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource/builtin"
)

func builtins() *Handler {
	registry := &rest.Registry{}
	var all []*rest.Resource
	for _, kind := range builtin.All() {
		all = append(all, rest.New(kind, &rest.Env{}, func() store.Store { return nil }))
	}
	registry.Change(all, nil)
	return &Handler{Registry: registry}
}

func get(t *testing.T, serve http.HandlerFunc, path string) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	serve(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// differences walks two JSON values and describes where ours is not upstream's.
func differences(path string, want, got any, tell func(path string, want, got any)) {
	wantMap, isMap := want.(map[string]any)
	gotMap, gotIsMap := got.(map[string]any)
	if isMap && gotIsMap {
		keys := map[string]bool{}
		for key := range wantMap {
			keys[key] = true
		}
		for key := range gotMap {
			keys[key] = true
		}
		for key := range keys {
			differences(path+"/"+key, wantMap[key], gotMap[key], tell)
		}
		return
	}
	wantList, isList := want.([]any)
	gotList, gotIsList := got.([]any)
	if isList && gotIsList && len(wantList) == len(gotList) {
		for i := range wantList {
			differences(fmt.Sprintf("%s[%d]", path, i), wantList[i], gotList[i], tell)
		}
		return
	}
	if !reflect.DeepEqual(want, got) {
		tell(path, want, got)
	}
}

// intended are differences that are meant. Upstream's files are written with the enumerations turned off, which its servers
// have on; and they name group versions that are not stable.
func intended(path string, want, got any) bool {
	if strings.HasSuffix(path, "/enum") && want == nil {
		return true
	}
	if strings.HasSuffix(path, "/description") {
		text, _ := got.(string)
		before, _, enumerated := strings.Cut(text, "\n\nPossible enum values:")
		return enumerated && strings.TrimRight(before, "\n") == want
	}
	return path == "/info/version"
}

func TestDocumentsAreUpstreams(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SEPTET_REFERENCE")
	if dir == "" {
		dir = "../../../shared/reference"
	}
	h := builtins()
	for path := range h.sources() {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			reference, err := os.ReadFile(filepath.Join(dir, "openapi", strings.ReplaceAll(path, "/", "__")+"_openapi.json"))
			if err != nil {
				t.Skipf("no reference data: %v", err)
			}
			var want, got any
			if err := json.Unmarshal(reference, &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(get(t, h.ServeV3, "/openapi/v3/"+path), &got); err != nil {
				t.Fatal(err)
			}
			count := 0
			var lines []string
			differences("", want, got, func(path string, want, got any) {
				if intended(path, want, got) {
					return
				}
				count++
				lines = append(lines, fmt.Sprintf("%s:\n  upstream %.300v\n  ours     %.300v", path, want, got))
			})
			slices.Sort(lines)
			if count > 0 {
				t.Errorf("%d differences:\n%s", count, strings.Join(lines[:min(count, 12)], "\n"))
			}
		})
	}
}

func TestV2HasEveryKindAndParses(t *testing.T) {
	t.Parallel()
	body := get(t, builtins().ServeV2, "/openapi/v2")
	var doc struct {
		Definitions map[string]struct {
			Kinds []kindName `json:"x-kubernetes-group-version-kind"`
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	described := map[kindName]bool{}
	for _, definition := range doc.Definitions {
		for _, kind := range definition.Kinds {
			described[kind] = true
		}
	}
	for _, kind := range builtin.All() {
		if !described[*nameOf(kind.GroupVersionKind)] {
			t.Errorf("%s is not described", kind.GroupVersionKind)
		}
	}
	if _, err := openapiv2.ParseDocument(body); err != nil {
		t.Errorf("not a document: %v", err)
	}
}

func TestAHashNamesOneDocument(t *testing.T) {
	t.Parallel()
	h := builtins()
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := json.Unmarshal(get(t, h.ServeV3, "/openapi/v3"), &index); err != nil {
		t.Fatal(err)
	}
	url := index.Paths["apis/apps/v1"].ServerRelativeURL
	w := httptest.NewRecorder()
	h.ServeV3(w, httptest.NewRequest(http.MethodGet, url, nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("%s: status %d, cache %q", url, w.Code, w.Header().Get("Cache-Control"))
	}
	w = httptest.NewRecorder()
	h.ServeV3(w, httptest.NewRequest(http.MethodGet, "/openapi/v3/apis/apps/v1?hash=old", nil))
	if w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != url {
		t.Errorf("an old hash: status %d to %q, want 301 to %q", w.Code, w.Header().Get("Location"), url)
	}
}

func BenchmarkDocument(b *testing.B) {
	h := builtins()
	b.ReportAllocs()
	for b.Loop() {
		source := h.sources()["api/v1"]
		if _, err := source.json(); err != nil {
			b.Fatal(err)
		}
	}
}
