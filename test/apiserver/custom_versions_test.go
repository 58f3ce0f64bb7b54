package apiserver

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/septet-io/septet/client"
)

// hosts has two versions: in v1 an address is one field, in v2 two.
const hosts = `
metadata: {name: hosts.net.example.com}
spec:
  group: net.example.com
  scope: Namespaced
  names: {plural: hosts, singular: host, kind: Host}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, properties: {hostPort: {type: string}}}
    selectableFields: [{jsonPath: .hostPort}]
  - name: v2
    served: true
    storage: false
    schema:
      openAPIV3Schema: {type: object, properties: {host: {type: string}, port: {type: string}}}
    selectableFields: [{jsonPath: .host}, {jsonPath: .port}]
`

// converterService is a conversion webhook for hosts.
type converterService struct {
	*httptest.Server
	calls  atomic.Int64
	broken atomic.Pointer[string] // how to misbehave; nil: not at all
}

func newConverterService(t *testing.T) *converterService {
	s := &converterService{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// use lets a definition be converted by the service.
func (s *converterService) use(crd *apiextensionsv1.CustomResourceDefinition) {
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	crd.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{
		Strategy: apiextensionsv1.WebhookConverter,
		Webhook: &apiextensionsv1.WebhookConversion{
			ConversionReviewVersions: []string{"v1"},
			ClientConfig:             &apiextensionsv1.WebhookClientConfig{URL: &s.URL, CABundle: bundle},
		},
	}
}

func (s *converterService) serve(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	review := &apiextensionsv1.ConversionReview{}
	if err := json.NewDecoder(r.Body).Decode(review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response := &apiextensionsv1.ConversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
	how := ""
	if broken := s.broken.Load(); broken != nil {
		how = *broken
	}
	for _, raw := range review.Request.Objects {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(raw.Raw); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		convertHost(u, review.Request.DesiredAPIVersion)
		if how == "rename" {
			u.SetName("other")
		}
		if how == "metadata" {
			u.SetFinalizers([]string{"example.com/mine"})
			u.SetAnnotations(map[string]string{"converted": "yes"})
		}
		response.ConvertedObjects = append(response.ConvertedObjects, runtime.RawExtension{Object: u})
	}
	switch how {
	case "refuse":
		response.Result = metav1.Status{Status: metav1.StatusFailure, Message: "not today"}
	case "fewer":
		response.ConvertedObjects = nil
	case "down":
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	review.Request, review.Response = nil, response
	_ = json.NewEncoder(w).Encode(review)
}

func convertHost(u *unstructured.Unstructured, to string) {
	from := u.GetAPIVersion()
	u.SetAPIVersion(to)
	switch {
	case strings.HasSuffix(to, "/v2") && strings.HasSuffix(from, "/v1"):
		host, port, _ := strings.Cut(text(u, "hostPort"), ":")
		delete(u.Object, "hostPort")
		u.Object["host"], u.Object["port"] = host, port
	case strings.HasSuffix(to, "/v1") && strings.HasSuffix(from, "/v2"):
		u.Object["hostPort"] = text(u, "host") + ":" + text(u, "port")
		delete(u.Object, "host")
		delete(u.Object, "port")
	}
}

func text(u *unstructured.Unstructured, field string) string {
	s, _, _ := unstructured.NestedString(u.Object, field)
	return s
}

func hostsOf(set *client.Set, version string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "net.example.com", Version: version, Resource: "hosts"}
}

func host(version, name string, fields map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	for key, value := range fields {
		u.Object[key] = value
	}
	u.SetAPIVersion("net.example.com/" + version)
	u.SetKind("Host")
	u.SetName(name)
	return u
}

// TestAWebhookConverts stores objects in two versions, reads all in both, and selects by fields that only one of them has.
//
// conformance: Custom Resource Definition Conversion Webhook, conversion custom resource
// conformance: Custom Resource Definition Conversion Webhook, convert mixed version list
// conformance: custom-resource-definition-field-selectors-list-watch-register-informers
func TestAWebhookConverts(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	set := server.Client()
	ctx := t.Context()
	service := newConverterService(t)
	crd := parse(t, hosts)
	service.use(crd)
	made, err := set.Dynamic.Resource(crds).Create(ctx, object(t, crd), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	awaitDefinition(t, set, made, func(c *apiextensionsv1.CustomResourceDefinition) bool {
		return hasCondition(c, apiextensionsv1.Established, apiextensionsv1.ConditionTrue)
	})
	v1, v2 := set.Dynamic.Resource(hostsOf(set, "v1")).Namespace("default"), set.Dynamic.Resource(hostsOf(set, "v2")).Namespace("default")
	watcher, err := v2.Watch(ctx, metav1.ListOptions{FieldSelector: "host=a,port!=81"})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	if _, err := v1.Create(ctx, host("v1", "one", map[string]any{"hostPort": "a:80"}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := expectCustom(t, watcher, watch.Added, "one"); text(got, "host") != "a" || got.GetAPIVersion() != "net.example.com/v2" {
		t.Errorf("a watch shows %v", got.Object)
	}
	got, err := v2.Get(ctx, "one", metav1.GetOptions{})
	if err != nil || text(got, "host") != "a" || text(got, "port") != "80" || text(got, "hostPort") != "" {
		t.Fatalf("v1 read as v2: %v, %v", err, got)
	}

	// From now on objects are stored as v2; the first one stays as it is.
	redefine(t, server, "hosts.net.example.com", `[{"op":"replace","path":"/spec/versions/0/storage","value":false},{"op":"replace","path":"/spec/versions/1/storage","value":true}]`)
	if _, err := v2.Create(ctx, host("v2", "two", map[string]any{"host": "b", "port": "90"}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"one": "net.example.com/v1", "two": "net.example.com/v2"} {
		if value := etcdValue(t, server, "/registry/net.example.com/hosts/default/"+key); !strings.Contains(value, want) {
			t.Errorf("%s is not stored as %s: %s", key, want, value)
		}
	}
	before := service.calls.Load()
	list, err := v2.List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 || text(&list.Items[0], "host") != "a" || text(&list.Items[1], "host") != "b" {
		t.Fatalf("a mixed list: %v, %v", err, list)
	}
	if calls := service.calls.Load() - before; calls != 1 {
		t.Errorf("a list was converted in %d calls", calls)
	}
	for selector, want := range map[string][]string{"hostPort=a:80": {"one"}, "hostPort=b:90": {"two"}, "hostPort!=a:80": {"two"}} {
		list, err := v1.List(ctx, metav1.ListOptions{FieldSelector: selector})
		if err != nil || !slices.Equal(namesOf(list), want) {
			t.Errorf("v1, %s: %v, %v", selector, err, namesOf(list))
		}
	}
	if list, err = v2.List(ctx, metav1.ListOptions{FieldSelector: "host=a"}); err != nil || !slices.Equal(namesOf(list), []string{"one"}) {
		t.Errorf("v2, host=a: %v, %v", err, namesOf(list))
	}
	if _, err = v2.List(ctx, metav1.ListOptions{FieldSelector: "hostPort=a:80"}); err == nil || !strings.Contains(err.Error(), "field label not supported: hostPort") {
		t.Errorf("v2 by a field of v1: %v", err)
	}
	followSelection(t, server, set)

	answerTo := func(how string) Answer {
		service.broken.Store(&how)
		return server.Do("GET", "/apis/net.example.com/v1/namespaces/default/hosts/two", "")
	}
	for how, want := range map[string]string{
		"refuse": "conversion webhook for net.example.com/v2, Kind=Host failed: not today",
		"fewer":  "returned 0 objects, expected 1",
		"rename": "must have the same name: two != other",
		"down":   "failed: the server answered 503 Service Unavailable: down",
	} {
		if answer := answerTo(how); answer.Code != 500 || !strings.Contains(answer.Status(t).Message, want) {
			t.Errorf("%s: %d %s", how, answer.Code, answer.Body)
		}
	}
	if answer := answerTo("metadata"); answer.Code != 200 || strings.Contains(answer.Body, "example.com/mine") || !strings.Contains(answer.Body, `"converted":"yes"`) {
		t.Errorf("metadata: %d %s", answer.Code, answer.Body)
	}
	service.broken.Store(nil)
	// Written again, the first one moves to the new version, and the old one may go.
	if _, err := v1.Patch(ctx, "one", "application/merge-patch+json", []byte(`{"hostPort":"a:443"}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if value := etcdValue(t, server, "/registry/net.example.com/hosts/default/one"); !strings.Contains(value, `"host":"a"`) {
		t.Errorf("written as v1, stored as %s", value)
	}
	answer := server.Do("PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/hosts.net.example.com", `[{"op":"remove","path":"/spec/versions/0"}]`, "Content-Type", "application/json-patch+json")
	if answer.Code != 422 || !strings.Contains(answer.Body, "must remain in spec.versions until a storage migration") {
		t.Errorf("a stored version was removed: %d %s", answer.Code, answer.Body)
	}
}

// followSelection watches what a field selector chooses while objects come into it and leave it.
func followSelection(t *testing.T, server *Server, set *client.Set) {
	t.Helper()
	ctx := t.Context()
	v1, v2 := set.Dynamic.Resource(hostsOf(set, "v1")).Namespace("default"), set.Dynamic.Resource(hostsOf(set, "v2")).Namespace("default")
	list, err := v1.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := v1.Watch(ctx, metav1.ListOptions{FieldSelector: "hostPort=c:1", ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	if _, err := v2.Create(ctx, host("v2", "three", map[string]any{"host": "c", "port": "0"}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	port := func(n string) {
		if _, err := v2.Patch(ctx, "three", "application/merge-patch+json", []byte(`{"port":"`+n+`"}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	port("1")
	expectCustom(t, watcher, watch.Added, "three")
	port("2")
	expectCustom(t, watcher, watch.Deleted, "three")
	port("1")
	expectCustom(t, watcher, watch.Added, "three")
	if err := v2.Delete(ctx, "three", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expectCustom(t, watcher, watch.Deleted, "three")
}

func namesOf(list *unstructured.UnstructuredList) []string {
	var names []string
	if list != nil {
		for i := range list.Items {
			names = append(names, list.Items[i].GetName())
		}
	}
	return names
}

// TestVersionsWithoutConversion reads objects under another name, selects them by a field, and warns of the old version.
func TestVersionsWithoutConversion(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	set := server.InProcess("admin", "system:masters")
	define(t, set, `
metadata: {name: shirts.stable.example.com}
spec:
  group: stable.example.com
  scope: Cluster
  names: {plural: shirts, singular: shirt, kind: Shirt}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {color: {type: string}, size: {type: string}}}}}},
     selectableFields: [{jsonPath: .spec.color}, {jsonPath: .spec.size}]}
  - {name: v1beta1, served: true, storage: false, deprecated: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {color: {type: string}}}}}},
     selectableFields: [{jsonPath: .spec.color}]}
  - {name: v1alpha1, served: true, storage: false, deprecated: true, deprecationWarning: too old, schema: {openAPIV3Schema: {type: object}}}
`)
	for name, spec := range map[string]string{"a": `{"color":"blue","size":"S"}`, "b": `{"color":"blue","size":"M"}`, "c": `{"color":"red","size":"M"}`} {
		if answer := server.Do("POST", "/apis/stable.example.com/v1/shirts", `{"apiVersion":"stable.example.com/v1","kind":"Shirt","metadata":{"name":"`+name+`"},"spec":`+spec+`}`); answer.Code != 201 {
			t.Fatal(answer.Body)
		}
	}
	names := func(version, selector string) string {
		answer := server.Do("GET", "/apis/stable.example.com/"+version+"/shirts?fieldSelector="+selector, "")
		var list unstructured.UnstructuredList
		if err := list.UnmarshalJSON([]byte(answer.Body)); err != nil || answer.Code != 200 {
			return answer.Body
		}
		return strings.Join(namesOf(&list), "")
	}
	for _, test := range []struct{ version, selector, want string }{
		{"v1", "spec.color%3Dblue", "ab"}, {"v1", "spec.color%3Dblue,spec.size%3DM", "b"}, {"v1", "spec.color!%3Dblue", "c"}, {"v1beta1", "spec.color%3Dred", "c"},
	} {
		if got := names(test.version, test.selector); got != test.want {
			t.Errorf("%s, %s: %s", test.version, test.selector, got)
		}
	}
	if got := names("v1beta1", "spec.size%3DM"); !strings.Contains(got, "field label not supported: spec.size") {
		t.Errorf("by a field of another version: %s", got)
	}
	for version, want := range map[string]string{
		"v1": "", "v1beta1": `299 - "stable.example.com/v1beta1 Shirt is deprecated; use stable.example.com/v1 Shirt"`, "v1alpha1": `299 - "too old"`,
	} {
		answer := server.Do("GET", "/apis/stable.example.com/"+version+"/shirts/b", "")
		if answer.Code != 200 || answer.Header.Get("Warning") != want || !strings.Contains(answer.Body, `"apiVersion":"stable.example.com/`+version) {
			t.Errorf("%s: %d %q %s", version, answer.Code, answer.Header.Get("Warning"), answer.Body)
		}
		if has := strings.Contains(answer.Body, `"size":"M"`); has != (version == "v1") {
			t.Errorf("%s is not pruned by its own schema: %s", version, answer.Body)
		}
	}
}
