package apiserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// Answer is what a raw request came to.
type Answer struct {
	Code   int
	Header http.Header
	Body   string
}

// Do sends a request as an administrator through the whole chain, without a network. Headers come in pairs; a body that begins
// with a brace or bracket is JSON if they do not say otherwise.
func (s *Server) Do(method, path, body string, headers ...string) Answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "test/1")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if strings.HasPrefix(body, "{") && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	s.ServeAs(w, r, resource.User{Name: "admin", Groups: []string{"system:masters"}})
	return Answer{w.Code, w.Header(), w.Body.String()}
}

// Status decodes the answer as a Status; the test fails if it is none.
func (a Answer) Status(t testing.TB) metav1.Status {
	t.Helper()
	var status metav1.Status
	if err := json.Unmarshal([]byte(a.Body), &status); err != nil || status.Kind != "Status" {
		t.Fatalf("no Status: %v\n%s", err, a.Body)
	}
	return status
}

// Object decodes the answer as JSON; the test fails if it is none.
func (a Answer) Object(t testing.TB) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(a.Body), &object); err != nil {
		t.Fatalf("no object: %v\n%s", err, a.Body)
	}
	return object
}
