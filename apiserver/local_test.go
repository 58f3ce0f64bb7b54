package apiserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// localTo is a client's transport in the process of a handler.
func localTo(handler http.HandlerFunc) *localTransport {
	return &localTransport{handler: handler, user: &resource.User{Name: "worker"}}
}

func ask(t *testing.T, ctx context.Context, method, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://local"+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWhatIsAnsweredWhole: writes, whatever things are called, but not what stays connected.
func TestWhatIsAnsweredWhole(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, path string
		want         bool
	}{
		{"POST", "/api/v1/namespaces/a/pods", true},
		{"POST", "/api/v1/namespaces/a/pods/b/binding", true},
		{"DELETE", "/api/v1/namespaces/a/pods", true},
		{"PATCH", "/apis/example.com/v1/namespaces/exec/proxy/attach/status", true},
		{"POST", "/apis/example.com/v1/proxy", true},
		{"PUT", "/api/v1/namespaces/proxy/configmaps/exec", true},
		{"POST", "/api/v1/namespaces/a/pods/b/exec", false},
		{"POST", "/api/v1/namespaces/a/pods/b/attach", false},
		{"POST", "/api/v1/namespaces/a/pods/b/portforward", false},
		{"PUT", "/api/v1/namespaces/a/services/b/proxy/some/path", false},
		{"PATCH", "/api/v1/nodes/b/proxy", false},
		{"GET", "/api/v1/namespaces/a/pods", false},
		{"GET", "/api/v1/namespaces/a/pods/b/log", false},
	} {
		if got := whole(ask(t, t.Context(), test.method, test.path)); got != test.want {
			t.Errorf("%s %s: %v", test.method, test.path, got)
		}
	}
}

// TestAnAnswerIsBrokenOff as over a connection: the caller hears of it, and lives.
func TestAnAnswerIsBrokenOff(t *testing.T) {
	t.Parallel()
	breaks := localTo(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("half"))
		panic(http.ErrAbortHandler)
	})
	if _, err := breaks.RoundTrip(ask(t, t.Context(), "POST", "/api/v1/pods")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a write: %v", err)
	}
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
	if err := breaks.Post(t.Context(), "/api/v1/pods", pod); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("past HTTP: %v", err)
	}
	response, err := breaks.RoundTrip(ask(t, t.Context(), "GET", "/api/v1/pods"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(response.Body); string(got) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a list: %q, %v", got, err)
	}
}

// TestTheCallerGivesUp while the handler works: it is told, and the caller gets no answer, whatever the handler says last.
func TestTheCallerGivesUp(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"POST", "GET"} {
		ctx, cancel := context.WithCancel(t.Context())
		transport := localTo(func(w http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
			w.WriteHeader(http.StatusGatewayTimeout)
		})
		if _, err := transport.RoundTrip(ask(t, ctx, method, "/api/v1/pods")); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", method, err)
		} else if method == "POST" && err == nil {
			t.Error("a write that nobody waits for was answered")
		}
	}
}
