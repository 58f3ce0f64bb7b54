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
	location, err := url.Parse(page.URL)
	if err != nil {
		t.Fatal(err)
	}
	const at = "/api/v1/namespaces/ns/pods/porter:80/proxy"
	r := httptest.NewRequest(http.MethodGet, at+"/", nil)
	info := request.Info{Path: at + "/"}
	r = r.WithContext(request.With(r.Context(), &request.State{Info: info}))
	w := httptest.NewRecorder()
	if err := (&connector{}).pass(w, r, &rest.Connection{}, location, http.DefaultTransport); err != nil {
		t.Fatal(err)
	}
	if want := `<a href="` + at + `/rewriteme">test</a>`; w.Body.String() != want {
		t.Errorf("the page became %s, want %s", w.Body, want)
	}
}
