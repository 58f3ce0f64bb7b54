package builtin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// reference returns a file of upstream's data, and skips the test where there is none.
func reference(t *testing.T, parts ...string) string {
	t.Helper()
	root := os.Getenv("SEPTET_REFERENCE")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "reference")
	}
	path := filepath.Join(append([]string{root}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no reference data: %v", err)
	}
	return path
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// entry is what discovery says about a resource or a subresource.
type entry struct {
	Name, Singular, Kind string
	Namespaced           bool
	Verbs                []string
	Short, Categories    []string
}

// described lists what a kind adds to discovery.
func described(k *resource.Kind) []entry {
	gv := k.GroupVersionKind.GroupVersion()
	kindOf := func(gvk schema.GroupVersionKind) string {
		if gvk.GroupVersion() == gv {
			return gvk.Kind
		}
		return strings.TrimPrefix(gvk.GroupVersion().String()+" ", "v1 ") + gvk.Kind
	}
	sub := func(name, kind string, verbs []string) entry {
		return entry{Name: k.Resource.Resource + "/" + name, Kind: kind, Namespaced: k.Namespaced(), Verbs: verbs}
	}
	out := []entry{{
		Name: k.Resource.Resource, Singular: k.Singular, Kind: k.GroupVersionKind.Kind,
		Namespaced: k.Namespaced(), Verbs: k.Verbs, Short: k.Short, Categories: k.Categories,
	}}
	for _, view := range k.Views {
		out = append(out, sub(view.Name, k.GroupVersionKind.Kind, view.Verbs))
	}
	if k.Scale != nil {
		out = append(out, sub("scale", "autoscaling/v1 Scale", []string{"get", "patch", "update"}))
	}
	for _, c := range k.Connectors {
		out = append(out, sub(c.Name, kindOf(c.Kind), c.Verbs))
	}
	return out
}

func TestKindsAreThoseOfUpstream(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(reference(t, "discovery"), "api*__v*.json"))
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string][]entry{}, map[string][]entry{}
	for _, file := range files {
		var list metav1.APIResourceList
		readJSON(t, file, &list)
		for _, r := range list.APIResources {
			e := entry{
				Name: r.Name, Singular: r.SingularName, Kind: r.Kind, Namespaced: r.Namespaced,
				Verbs: r.Verbs, Short: r.ShortNames, Categories: r.Categories,
			}
			if other := (schema.GroupVersion{Group: r.Group, Version: r.Version}); r.Version != "" && other.String() != list.GroupVersion {
				e.Kind = other.String() + " " + r.Kind
			}
			want[list.GroupVersion] = append(want[list.GroupVersion], e)
		}
	}
	for _, k := range All() {
		gv := k.GroupVersionKind.GroupVersion().String()
		got[gv] = append(got[gv], described(k)...)
	}
	for gv := range want {
		byName := func(a, b entry) int { return strings.Compare(a.Name, b.Name) }
		slices.SortFunc(want[gv], byName)
		slices.SortFunc(got[gv], byName)
		if diff := cmp.Diff(want[gv], got[gv]); diff != "" {
			t.Errorf("%s (-upstream +ours):\n%s", gv, diff)
		}
	}
	if len(want) != len(got) {
		t.Errorf("%d group versions upstream, %d here", len(want), len(got))
	}
}

func TestStorageKeysAreThoseOfUpstream(t *testing.T) {
	t.Parallel()
	odd := map[string]string{
		"/nodes": "minions", "/services": "services/specs", "/endpoints": "services/endpoints",
		"/replicationcontrollers": "controllers", "networking.k8s.io/ingresses": "ingress",
		"apiregistration.k8s.io/apiservices":             "apiregistration.k8s.io/apiservices",
		"apiextensions.k8s.io/customresourcedefinitions": "apiextensions.k8s.io/customresourcedefinitions",
	}
	seen := map[string]schema.GroupVersionKind{}
	for _, k := range All() {
		if !k.Stored() || k.StoredAs != nil {
			continue
		}
		want, ok := odd[k.Resource.Group+"/"+k.Resource.Resource]
		if !ok {
			want = k.Resource.Resource
		}
		if k.StorageKey != want {
			t.Errorf("%s is stored under %q, upstream has %q", k.GroupVersionKind, k.StorageKey, want)
		}
		if other, taken := seen[k.StorageKey]; taken {
			t.Errorf("%s and %s share %s", other, k.GroupVersionKind, k.StorageKey)
		}
		seen[k.StorageKey] = k.GroupVersionKind
	}
}
