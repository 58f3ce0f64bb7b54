package rest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func podResource() *Resource {
	for _, kind := range core.Kinds() {
		if kind.GroupVersionKind.Kind == "Pod" {
			return New(kind, &Env{Fields: NewFields(nil)}, func() store.Store { return nil })
		}
	}
	panic("there are no Pods")
}

const seedPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`

// FuzzDecode reads bodies in every format: they are decoded or refused as BadRequest, nothing else.
func FuzzDecode(f *testing.F) {
	r := podResource()
	f.Add([]byte(seedPod), 0)
	f.Add([]byte("kind: Pod\nmetadata: &a {name: *a}\n"), 1)
	f.Add([]byte("k8s\x00\x0a\x03\x0a\x01v"), 2)
	f.Fuzz(func(t *testing.T, body []byte, format int) {
		obj, err := r.decode(body, request.Format(uint(format)%3), "Strict", &request.State{})
		if err == nil && obj.GetObjectKind().GroupVersionKind() != r.GroupVersionKind {
			t.Errorf("decoded as %v", obj.GetObjectKind().GroupVersionKind())
		}
		if err != nil && request.StatusOf(err).Code != 400 {
			t.Errorf("refused with %v", request.StatusOf(err))
		}
	})
}

// FuzzPatch applies patches of every type to a Pod: they give a Pod or a clear error.
func FuzzPatch(f *testing.F) {
	r := podResource()
	base := &corev1.Pod{}
	if err := json.Unmarshal([]byte(seedPod), base); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`[{"op":"copy","from":"/metadata","path":"/spec"}]`), 0)
	f.Add([]byte(`{"metadata":{"labels":null},"spec":{"containers":[{"name":"d"}]}}`), 1)
	f.Add([]byte(`{"spec":{"$setElementOrder/containers":[{"name":"c"}],"containers":[{"name":"c","$patch":"delete"}]}}`), 2)
	kinds := []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType}
	f.Fuzz(func(t *testing.T, body []byte, kind int) {
		change, err := r.newPatch(kinds[uint(kind)%3], body, "Warn", &request.State{})
		if err != nil {
			return
		}
		before := base.DeepCopy()
		obj, err := change(resource.Object(before))
		if err == nil && obj == nil {
			t.Error("neither an object nor an error")
		}
		if a, b := mustJSONBytes(base), mustJSONBytes(before); a != b {
			t.Errorf("the patch changed the object that it was applied to:\n%s\n%s", a, b)
		}
	})
}

func mustJSONBytes(obj any) string {
	body, _ := json.Marshal(obj) // a Pod always marshals
	return string(body)
}

// FuzzApply merges configurations into nothing and into a Pod: the fast way gives what apimachinery gives, and nobody changes the Pod that
// others read.
func FuzzApply(f *testing.F) {
	r := podResource()
	base := &corev1.Pod{}
	if err := json.Unmarshal([]byte(seedPod), base); err != nil {
		f.Fatal(err)
	}
	live, err := r.trackSlowly(r.empty(), base, "creator", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"x":"y"}},"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"}]}]}}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}]}],"tolerations":[{"key":"k"}]}}`))
	f.Add([]byte("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: x}]}\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := &write{Request: &resource.Request{}, r: r, state: &request.State{}, key: store.Key{Namespace: "n", Name: "p"}, manager: "m"}
		wanted, err := r.readApplied(w, body, "Warn")
		if err != nil {
			return
		}
		if obj, err := w.applied(t.Context(), nil, wanted, false); err == nil && obj.GetName() != "p" {
			t.Errorf("applied to %q", obj.GetName())
		}
		before := mustJSONBytes(live)
		if ours := r.applyFast(live, wanted, "m", "", time.Now()); ours != nil {
			m, err := r.fieldManager("")
			if err != nil {
				t.Fatal(err)
			}
			applied, err := m.Apply(live.DeepCopyObject(), wanted.DeepCopy(), "m", false)
			if err != nil {
				t.Fatalf("went through, where apimachinery says %v", err)
			}
			if theirs := applied.(resource.Object); canonical(t, r, ours) != canonical(t, r, theirs) {
				t.Errorf("ours:\n%s\napimachinery's:\n%s", canonical(t, r, ours), canonical(t, r, theirs))
			}
		}
		if mustJSONBytes(live) != before {
			t.Error("the live object was changed")
		}
	})
}

// FuzzListOptions reads queries: selectors, limits, versions. They select something or are refused as the client's mistake.
func FuzzListOptions(f *testing.F) {
	r := podResource()
	f.Add("labelSelector=a+in+(b,c),!d&fieldSelector=spec.nodeName%3Dn,metadata.name!%3Dp")
	f.Add("resourceVersion=0&resourceVersionMatch=NotOlderThan&limit=500&continue=abc")
	f.Add("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=-1")
	f.Add("labelSelector=((((((((&fieldSelector=\\\\,=")
	f.Fuzz(func(t *testing.T, query string) {
		req := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/api/v1/pods", RawQuery: query}, Header: http.Header{}}
		info := request.Parse(req)
		_, selected, err := r.listOptions(req, &request.State{Info: info})
		if err != nil {
			if code := request.StatusOf(err).Code; code < 400 || code >= 500 {
				t.Errorf("refused with %v", request.StatusOf(err))
			}
			return
		}
		if selected.Labels != nil {
			_ = selected.Labels.String()
		}
	})
}
