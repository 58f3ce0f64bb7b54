package request

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatURLsAskFor(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]Info{
		"GET /api/v1/pods":                                     {Verb: "list", Version: "v1", Resource: "pods"},
		"GET /api/v1/pods?watch=true":                          {Verb: "watch", Version: "v1", Resource: "pods"},
		"GET /api/v1/pods?watch":                               {Verb: "watch", Version: "v1", Resource: "pods"},
		"GET /api/v1/pods?watch=0":                             {Verb: "list", Version: "v1", Resource: "pods"},
		"GET /api/v1/watch/pods":                               {Verb: "watch", Version: "v1", Resource: "pods"},
		"GET /api/v1/watch/namespaces/n/pods/p":                {Verb: "watch", Version: "v1", Resource: "pods", Namespace: "n", Name: "p"},
		"POST /api/v1/namespaces/n/pods":                       {Verb: "create", Version: "v1", Resource: "pods", Namespace: "n"},
		"GET /api/v1/namespaces/n/pods/p":                      {Verb: "get", Version: "v1", Resource: "pods", Namespace: "n", Name: "p"},
		"HEAD /api/v1/namespaces/n/pods/p":                     {Verb: "get", Version: "v1", Resource: "pods", Namespace: "n", Name: "p"},
		"PUT /api/v1/namespaces/n/pods/p/status":               {Verb: "update", Version: "v1", Resource: "pods", Namespace: "n", Name: "p", Subresource: "status"},
		"DELETE /api/v1/namespaces/n/pods":                     {Verb: "deletecollection", Version: "v1", Resource: "pods", Namespace: "n"},
		"DELETE /api/v1/namespaces/n/pods/p":                   {Verb: "delete", Version: "v1", Resource: "pods", Namespace: "n", Name: "p"},
		"GET /api/v1/namespaces/n/services/s/proxy/a/b":        {Verb: "get", Version: "v1", Resource: "services", Namespace: "n", Name: "s", Subresource: "proxy", Rest: "a/b"},
		"GET /api/v1/namespaces":                               {Verb: "list", Version: "v1", Resource: "namespaces"},
		"GET /api/v1/namespaces/n":                             {Verb: "get", Version: "v1", Resource: "namespaces", Namespace: "n", Name: "n"},
		"PUT /api/v1/namespaces/n/finalize":                    {Verb: "update", Version: "v1", Resource: "namespaces", Namespace: "n", Name: "n", Subresource: "finalize"},
		"PATCH /apis/apps/v1/namespaces/n/deployments/d/scale": {Verb: "patch", Group: "apps", Version: "v1", Resource: "deployments", Namespace: "n", Name: "d", Subresource: "scale"},
		"GET /api/v1/pods?fieldSelector=metadata.name%3Dp":     {Verb: "list", Version: "v1", Resource: "pods", Name: "p", FieldSelector: "metadata.name=p"},
	} {
		method, target, _ := strings.Cut(line, " ")
		want.IsResource, want.Prefix = true, "api"
		if want.Group != "" {
			want.Prefix = "apis"
		}
		want.Path, _, _ = strings.Cut(target, "?")
		if diff := cmp.Diff(want, Parse(httptest.NewRequest(method, target, nil))); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", line, diff)
		}
	}
	for target, verb := range map[string]string{"/": "get", "/api": "get", "/apis/apps/v1": "get", "/healthz": "get"} {
		if info := Parse(httptest.NewRequest(http.MethodGet, target, nil)); info.IsResource || info.Verb != verb {
			t.Errorf("%s: %+v", target, info)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"/api/v1/pods", "/apis/a/b/namespaces/c/d/e/f/g", "//", "/api/v1/namespaces//pods", "/api/v1/watch/"} {
		f.Add("GET", seed, "watch=1&fieldSelector=metadata.name=x")
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}}
		info := Parse(r)
		if info.Path != path || info.IsResource && info.Prefix == "" {
			t.Errorf("%+v", info)
		}
	})
}

func FuzzNegotiate(f *testing.F) {
	for _, seed := range []string{"application/json;as=Table;v=v1;g=meta.k8s.io, */*;q=0.5", ";;;,", "text/html;q=x", "a/b;c=\""} {
		f.Add(seed)
	}
	offer := Offer{ID: "fuzz", As: func(string, string, string, Format) bool { return true }}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Accept"] = []string{header}
		accept, err := Negotiate(r, &offer)
		if err == nil && accept.Format == CBOR {
			t.Errorf("%q came to %+v, which is not offered", header, accept)
		}
	})
}

func TestWarningsAreHeadersOnce(t *testing.T) {
	t.Parallel()
	var s State
	s.Warn(`say "no"`)
	s.Warn(`say "no"`)
	s.Warn("two\nlines")
	header := http.Header{}
	s.WriteWarnings(header)
	if diff := cmp.Diff([]string{`299 - "say \"no\""`, `299 - "two lines"`}, header.Values("Warning")); diff != "" {
		t.Error(diff)
	}
}
