package apiserver

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// event is one frame of a JSON watch.
type event struct {
	Type   watch.EventType
	Object map[string]any
}

func (e event) name() string {
	meta, _ := e.Object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	return name
}

// frames opens a JSON watch over TLS and returns what reads one frame after the other; false at the end.
func frames(t *testing.T, server *Server, path string, headers ...string) func() (event, bool) {
	t.Helper()
	client, err := rest.HTTPClientFor(server.Admin())
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("watch %s: %s", path, answer.Status)
	}
	lines := bufio.NewReader(answer.Body)
	return func() (event, bool) {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return event{}, false
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("frame %q: %v", line, err)
		}
		return e, true
	}
}

// TestAWatchTellsWhatHappens follows a selection while objects enter, change and leave it.
//
// conformance: watch-configmaps-label-changed
func TestAWatchTellsWhatHappens(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	s.Do("POST", maps, `{"metadata":{"name":"first","labels":{"in":"yes"}}}`)
	next := frames(t, s, maps+"?watch=true&labelSelector=in%3Dyes")
	expectFrame(t, next, watch.Added, "first")
	s.Do("POST", maps, `{"metadata":{"name":"outside"}}`)
	s.Do("POST", maps, `{"metadata":{"name":"second","labels":{"in":"yes"}}}`)
	expectFrame(t, next, watch.Added, "second")
	s.Do("PATCH", maps+"/second", `{"data":{"a":"b"}}`, "Content-Type", merge)
	expectFrame(t, next, watch.Modified, "second")
	s.Do("PATCH", maps+"/second", `{"metadata":{"labels":{"in":null}}}`, "Content-Type", merge)
	expectFrame(t, next, watch.Deleted, "second")
	s.Do("PATCH", maps+"/outside", `{"metadata":{"labels":{"in":"yes"}}}`, "Content-Type", merge)
	expectFrame(t, next, watch.Added, "outside")
	s.Do("DELETE", maps+"/first", "")
	expectFrame(t, next, watch.Deleted, "first")
}

func expectFrame(t *testing.T, next func() (event, bool), kind watch.EventType, name string) event {
	t.Helper()
	e, open := next()
	if !open {
		t.Fatalf("the watch ended, want %s of %s", kind, name)
	}
	if e.Type != kind || e.name() != name {
		t.Fatalf("got %s of %v, want %s of %s", e.Type, e.Object, kind, name)
	}
	return e
}

// TestAWatchListEndsItsBeginningWithABookmark shows the streaming form of a list (KEP-3157).
func TestAWatchListEndsItsBeginningWithABookmark(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	s.Do("POST", maps, `{"metadata":{"name":"a"}}`)
	next := frames(t, s, maps+"?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
	expectFrame(t, next, watch.Added, "a")
	bookmark := expectFrame(t, next, watch.Bookmark, "")
	if bookmark.Object["kind"] != "ConfigMap" || !strings.Contains(fmt.Sprint(bookmark.Object), "k8s.io/initial-events-end:true") {
		t.Errorf("bookmark: %v", bookmark.Object)
	}
}

// TestManyFormsOfOneWatch asks for the same events as Table, as metadata and in protobuf.
func TestManyFormsOfOneWatch(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	for _, name := range []string{"a", "b"} {
		s.Do("POST", maps, fmt.Sprintf(`{"metadata":{"name":"%s"},"data":{"k":"v"}}`, name))
	}
	table := frames(t, s, maps+"?watch=1", "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	first, _ := table()
	second, _ := table()
	if first.Object["kind"] != "Table" || first.Object["columnDefinitions"] == nil || second.Object["columnDefinitions"] != nil {
		t.Errorf("only the first Table has columns: %v, then %v", first.Object, second.Object)
	}
	row := second.Object["rows"].([]any)[0].(map[string]any)
	if row["cells"].([]any)[0] != "b" || row["object"].(map[string]any)["kind"] != "PartialObjectMetadata" {
		t.Errorf("row: %v", row)
	}
	metadata := frames(t, s, maps+"?watch=1", "Accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")
	if part := expectFrame(t, metadata, watch.Added, "a"); part.Object["data"] != nil || part.Object["kind"] != "PartialObjectMetadata" {
		t.Errorf("metadata: %v", part.Object)
	}
	config := s.Admin()
	config.ContentType, config.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf"
	watcher, err := s.Clients(config).CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	if e := <-watcher.ResultChan(); e.Type != watch.Added || e.Object.(*corev1.ConfigMap).Data["k"] != "v" {
		t.Errorf("protobuf: %v", e)
	}
	partial, err := s.Clients(config).Metadata.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer partial.Stop()
	if e := <-partial.ResultChan(); e.Object.(*metav1.PartialObjectMetadata).Name != "a" {
		t.Errorf("metadata client: %v", e)
	}
}

// TestACrowdWatches: watches of one connection, in several forms, all get every change in order and whole. One of them reads nothing until
// all is over, when more was written than its window takes: it holds up nobody, and misses nothing.
func TestACrowdWatches(t *testing.T) {
	t.Parallel()
	const watchers, changes, size = 10, 120, 50_000
	s := Start(t)
	s.Namespace("default")
	s.Do("POST", maps, `{"metadata":{"name":"a"}}`)
	forms := []string{"application/json", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v1;g=meta.k8s.io"}
	lazy := frames(t, s, maps+"?watch=1")
	var readers sync.WaitGroup
	read := func(next func() (event, bool)) {
		before := 0
		for n := 0; n <= changes; n++ {
			e, open := next()
			if !open {
				t.Errorf("the watch ended after %d events", n)
				return
			}
			text := fmt.Sprint(e.Object)
			if data, whole := e.Object["data"].(map[string]any); whole && n > 0 && len(fmt.Sprint(data["k"])) != size+len(fmt.Sprint(n)) {
				t.Errorf("event %d is cut: %.200s", n, text)
			}
			_, version, _ := strings.Cut(text, "resourceVersion:")
			now, err := strconv.Atoi(strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })[0])
			if err != nil || now <= before {
				t.Errorf("version %d after %d: %v", now, before, err)
			}
			before = now
		}
	}
	for n := range watchers * len(forms) {
		next := frames(t, s, maps+"?watch=1", "Accept", forms[n%len(forms)])
		readers.Go(func() { read(next) })
	}
	for n := 1; n <= changes; n++ {
		s.Do("PATCH", maps+"/a", fmt.Sprintf(`{"data":{"k":"%d%s"}}`, n, strings.Repeat("v", size)), "Content-Type", merge)
	}
	readers.Wait()
	read(lazy)
}

// TestAWatchOverWebSocket watches as browsers do.
func TestAWatchOverWebSocket(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	s.Do("POST", maps, `{"metadata":{"name":"a"}}`)
	config := s.Admin()
	pair, err := tls.X509KeyPair(config.CertData, config.KeyData)
	if err != nil {
		t.Fatal(err)
	}
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}}
	conn, _, err := dialer.DialContext(t.Context(), strings.Replace(s.URL, "https", "wss", 1)+maps+"?watch=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, name := range []string{"a", "b"} {
		var e event
		if err := conn.ReadJSON(&e); err != nil || e.name() != name {
			t.Fatalf("message: %v %v", err, e)
		}
		if name == "a" {
			s.Do("POST", maps, `{"metadata":{"name":"b"}}`)
		}
	}
}

// TestWatchesEnd when their time is over, and when the server stops.
func TestWatchesEnd(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	next := frames(t, s, maps+"?watch=1&timeoutSeconds=1")
	if e, open := next(); open {
		t.Errorf("an event instead of the end: %v", e)
	}
	next = frames(t, s, maps+"?watch=1")
	s.stop()
	if e, open := next(); open {
		t.Errorf("an event instead of the end: %v", e)
	}
}
