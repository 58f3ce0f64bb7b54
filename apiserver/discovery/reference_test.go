package discovery

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apidiscovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource/builtin"
)

// reference returns upstream's data of a name; the test is skipped where there is none.
func reference(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("SEPTET_REFERENCE")
	if dir == "" {
		dir = "../../../shared/reference"
	}
	data, err := os.ReadFile(filepath.Join(dir, "discovery", name))
	if err != nil {
		t.Skipf("no reference data: %v", err)
	}
	return data
}

func builtins() *Handler {
	registry := &rest.Registry{}
	var all []*rest.Resource
	for _, kind := range builtin.All() {
		all = append(all, rest.New(kind, &rest.Env{}, func() store.Store { return nil }))
	}
	registry.Change(all, nil)
	return New(registry)
}

// get asks a handler and decodes the answer.
func get[T any](t *testing.T, h *Handler, path, accept string) (T, *http.Response) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	if !h.Serve(w, r) {
		t.Fatalf("%s: nothing there", path)
	}
	var value T
	if err := json.Unmarshal(w.Body.Bytes(), &value); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, w.Body)
	}
	return value, w.Result()
}

func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// conformance: Admission webhook, discovery document
// conformance: Discovery, confirm the groupVerion and a resourcefrom each apiGroup
func TestStableGroupVersionsAreUpstreams(t *testing.T) {
	t.Parallel()
	h := builtins()
	groups, _ := get[metav1.APIGroupList](t, h, "/apis", "application/json")
	paths := []string{"/api/v1"}
	for _, group := range groups.Groups {
		for _, version := range group.Versions {
			paths = append(paths, "/apis/"+version.GroupVersion)
		}
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			want := decode[metav1.APIResourceList](t, reference(t, strings.ReplaceAll(strings.Trim(path, "/"), "/", "__")+".json"))
			got, _ := get[metav1.APIResourceList](t, h, path, "application/json")
			for i := range want.APIResources {
				// Upstream still writes a few kinds in an older version than the one it serves; ours are stored as v1.
				if storedOlder[want.APIResources[i].Name] && i < len(got.APIResources) {
					want.APIResources[i].StorageVersionHash = got.APIResources[i].StorageVersionHash
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("upstream (-) and ours (+) differ:\n%s", diff)
			}
		})
	}
}

var storedOlder = map[string]bool{"mutatingadmissionpolicies": true, "mutatingadmissionpolicybindings": true, "customresourcedefinitions": true}

// onlyStable takes out versions and groups that are not stable: they are not served.
func onlyStable(groups []metav1.APIGroup) []metav1.APIGroup {
	var kept []metav1.APIGroup
	for _, group := range groups {
		group.Versions = slices.DeleteFunc(group.Versions, func(v metav1.GroupVersionForDiscovery) bool {
			return strings.Contains(v.Version, "alpha") || strings.Contains(v.Version, "beta")
		})
		if len(group.Versions) > 0 {
			kept = append(kept, group)
		}
	}
	return kept
}

// conformance: Discovery, confirm the PreferredVersion for each api group
func TestGroupsAreUpstreamsInItsOrder(t *testing.T) {
	t.Parallel()
	want := decode[metav1.APIGroupList](t, reference(t, "apis.json"))
	got, _ := get[metav1.APIGroupList](t, builtins(), "/apis", "application/json")
	if diff := cmp.Diff(onlyStable(want.Groups), got.Groups); diff != "" {
		t.Errorf("upstream (-) and ours (+) differ:\n%s", diff)
	}
}

const aggregatedAccept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"

// conformance: Aggregated Discovery Endpoint Accept Headers
func TestAggregatedDiscoveryIsUpstreams(t *testing.T) {
	t.Parallel()
	want := decode[apidiscovery.APIGroupDiscoveryList](t, reference(t, "aggregated_v2.json"))
	got, answer := get[apidiscovery.APIGroupDiscoveryList](t, builtins(), "/apis", aggregatedAccept)
	if kind := answer.Header.Get("Content-Type"); kind != "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" {
		t.Errorf("content type %q", kind)
	}
	ours := map[string]apidiscovery.APIVersionDiscovery{}
	for _, group := range got.Items {
		for _, version := range group.Versions {
			ours[group.Name+"/"+version.Version] = version
		}
	}
	for _, group := range want.Items {
		for _, version := range group.Versions {
			if strings.Contains(version.Version, "alpha") || strings.Contains(version.Version, "beta") {
				continue
			}
			if diff := cmp.Diff(version, ours[group.Name+"/"+version.Version]); diff != "" {
				t.Errorf("%s/%s: upstream (-) and ours (+) differ:\n%s", group.Name, version.Version, diff)
			}
		}
	}
}

func TestAnUnchangedDocumentIsNotSentAgain(t *testing.T) {
	t.Parallel()
	h := builtins()
	_, first := get[apidiscovery.APIGroupDiscoveryList](t, h, "/apis", aggregatedAccept)
	r := httptest.NewRequest(http.MethodGet, "/apis", nil)
	r.Header.Set("Accept", aggregatedAccept)
	r.Header.Set("If-None-Match", first.Header.Get("ETag"))
	w := httptest.NewRecorder()
	h.Serve(w, r)
	if w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("status %d with %d bytes, want 304 and none", w.Code, w.Body.Len())
	}
}
