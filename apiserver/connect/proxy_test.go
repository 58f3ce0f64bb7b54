package connect

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
)

// Links of a page lead through the proxy again, as paths: the client may know this server by another name.
// conformance: Proxy through apiserver to a Service
func TestProxiedLinksStayPaths(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<a href="/rewriteme">test</a>`)
	}))
	defer page.Close()
	const at = "/api/v1/namespaces/ns/pods/porter:80/proxy"
	w := passed(t, http.MethodGet, at+"/", page.URL)
	if want := `<a href="` + at + `/rewriteme">test</a>`; w.Body.String() != want {
		t.Errorf("the page became %s, want %s", w.Body, want)
	}
}

// Readers of the bare subresource are sent to the path with a slash, where relative links hold; other methods go through.
// conformance: Proxy, validate Proxy responses
func TestProxiedRootEndsInASlash(t *testing.T) {
	t.Parallel()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method, r.URL) }))
	defer echo.Close()
	const at = "/api/v1/namespaces/ns/services/web/proxy"
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		w := passed(t, method, at+"?x=1", echo.URL)
		if w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != at+"/?x=1" {
			t.Errorf("%s: %d to %q", method, w.Code, w.Header().Get("Location"))
		}
	}
	for _, method := range []string{http.MethodDelete, http.MethodOptions, http.MethodPatch, http.MethodPost, http.MethodPut} {
		w := passed(t, method, at+"?x=1", echo.URL)
		if want := method + "/?x=1"; w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", method, w.Code, w.Body, want)
		}
	}
}

// passed is the answer to a request for a proxy's root that goes on to a server.
func passed(t *testing.T, method, path, server string) *httptest.ResponseRecorder {
	t.Helper()
	location, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, path, nil)
	r = r.WithContext(request.With(r.Context(), &request.State{Info: request.Info{Path: r.URL.Path}}))
	w := httptest.NewRecorder()
	if err := (&connector{}).pass(w, r, &rest.Connection{}, location, http.DefaultTransport); err != nil {
		t.Fatal(err)
	}
	return w
}
