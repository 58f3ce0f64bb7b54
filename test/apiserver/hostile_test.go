package apiserver

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientrest "k8s.io/client-go/rest"
)

// TestHostileRequestsAreRefused each with upstream's Status, and none costs more than a body's size.
func TestHostileRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	const maps, one = "/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/configmaps/one"
	if a := s.Do("POST", maps, `{"metadata":{"name":"one"},"data":{"a":"`+strings.Repeat("a", 100_000)+`"}}`); a.Code != 201 {
		t.Fatal(a.Body)
	}
	var operations, copies []string
	for i := range 10_001 {
		operations = append(operations, `{"op":"test","path":"/kind","value":"ConfigMap"}`)
		if i < 60 {
			copies = append(copies, fmt.Sprintf(`{"op":"copy","from":"/data/a","path":"/data/c%d"}`, i))
		}
	}
	aliases := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		aliases += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","))
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 100<<20))
	z.Close()
	for name, c := range map[string]struct {
		method, path, body, kind string
		code                     int
		reason                   metav1.StatusReason
		message                  string
	}{
		"a large body":      {"POST", maps, `{"data":{"a":"` + strings.Repeat("a", 4<<20), "application/json", 413, metav1.StatusReasonRequestEntityTooLarge, "limit is 3145728"},
		"many operations":   {"PATCH", one, "[" + strings.Join(operations, ",") + "]", "application/json-patch+json", 413, metav1.StatusReasonRequestEntityTooLarge, "The allowed maximum operations in a JSON patch is 10000, got 10001"},
		"copies of copies":  {"PATCH", one, "[" + strings.Join(copies, ",") + "]", "application/json-patch+json", 422, "", "due to an error in our request"},
		"deep JSON":         {"POST", maps, `{"metadata":` + strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_001), "application/json", 400, metav1.StatusReasonBadRequest, "exceeded max depth"},
		"a deep patch":      {"PATCH", one, strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000), "application/merge-patch+json", 400, metav1.StatusReasonBadRequest, "exceeded max depth"},
		"deep YAML":         {"POST", maps, strings.Repeat("[", 20_000), "application/yaml", 400, metav1.StatusReasonBadRequest, "exceeded max depth"},
		"aliases":           {"POST", maps, aliases, "application/yaml", 400, metav1.StatusReasonBadRequest, "excessive aliasing"},
		"aliases, applied":  {"PATCH", one + "?fieldManager=t", aliases, "application/apply-patch+yaml", 400, metav1.StatusReasonBadRequest, "excessive aliasing"},
		"a compressed body": {"POST", maps, zipped.String(), "application/json", 400, metav1.StatusReasonBadRequest, "invalid character"},
		"CBOR":              {"POST", maps, "\xd9\xd9\xf7\xa0", "application/cbor", 415, metav1.StatusReasonUnsupportedMediaType, "accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"},
		"CBOR, applied":     {"PATCH", one, "\xd9\xd9\xf7\xa0", "application/apply-patch+cbor", 415, metav1.StatusReasonUnsupportedMediaType, "application/apply-patch+yaml"},
		"a long selector":   {"GET", maps + "?labelSelector=" + strings.Repeat("a", 100_000), "", "", 414, "", "414"},
		"a deep selector":   {"GET", maps + "?labelSelector=" + strings.Repeat("(", 10_000), "", "", 400, metav1.StatusReasonBadRequest, "found '(', expected: !, identifier, or 'end of string'"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Do(c.method, c.path, c.body, "Content-Type", c.kind, "Content-Encoding", map[bool]string{true: "gzip"}[name == "a compressed body"])
			status := a.Status(t)
			if a.Code != c.code || c.reason != "" && status.Reason != c.reason || !strings.Contains(status.Message, c.message) {
				t.Errorf("%d %s %.300s", a.Code, status.Reason, status.Message)
			}
		})
	}
	if a := s.Do("GET", maps, "", "Accept", "application/cbor"); a.Code != 406 || a.Status(t).Reason != metav1.StatusReasonNotAcceptable {
		t.Errorf("CBOR asked for: %d %s", a.Code, a.Body)
	}
	s.refusesHeaders(t)
}

// refusesHeaders: a megabyte of headers is more than anybody needs.
func (s *Server) refusesHeaders(t *testing.T) {
	t.Helper()
	config := s.Admin()
	config.NextProtos = []string{"http/1.1"}
	client, err := clientrest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("GET", s.URL+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Large", strings.Repeat("a", 2<<20))
	answer, err := client.Do(r)
	if err != nil {
		return // the server has closed the connection while the headers were sent
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large headers: %d", answer.StatusCode)
	}
}

// TestBrowsersWatchOverWebSockets: a message an event, text for JSON and binary for protobuf.
func TestBrowsersWatchOverWebSockets(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	tlsConfig, err := clientrest.TLSConfigFor(s.Admin())
	if err != nil {
		t.Fatal(err)
	}
	tlsConfig.NextProtos = nil
	dialer := websocket.Dialer{TLSClientConfig: tlsConfig}
	dial := func(accept string) *websocket.Conn {
		conn, _, err := dialer.Dial("wss"+strings.TrimPrefix(s.URL, "https")+"/api/v1/namespaces/default/configmaps?watch=1", http.Header{"Accept": {accept}, "Origin": {s.URL}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	text, binary := dial("application/json"), dial("application/vnd.kubernetes.protobuf")
	s.Do("POST", "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"one"}}`)
	if kind, message, err := text.ReadMessage(); err != nil || kind != websocket.TextMessage || !strings.HasPrefix(string(message), `{"type":"ADDED","object":{"kind":"ConfigMap"`) {
		t.Errorf("JSON: %d %s %v", kind, message, err)
	}
	if kind, message, err := binary.ReadMessage(); err != nil || kind != websocket.BinaryMessage || !bytes.HasPrefix(message, []byte("\x0a\x05ADDED")) {
		t.Errorf("protobuf: %d %q %v", kind, message, err)
	}
}
