package authn

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/septet-io/septet/pki"
	"github.com/septet-io/septet/resource"
)

func authority(t *testing.T) (*pki.Authority, func() (*x509.CertPool, error)) {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "test")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate)
	return ca, func() (*x509.CertPool, error) { return pool, nil }
}

func shown(t *testing.T, ca *pki.Authority, leaf pki.Leaf) *http.Request {
	t.Helper()
	pair, err := ca.TLS(leaf)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/api", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
	return r
}

func TestCertificatesNameUsers(t *testing.T) {
	t.Parallel()
	ca, roots := authority(t)
	stranger, _ := authority(t)
	x := &X509{Roots: roots}
	jane := pki.Leaf{CommonName: "jane", Organizations: []string{"dev", "ops"}, Client: true}
	r := shown(t, ca, jane)
	for range 2 { // the second time from memory
		user, ok, err := x.Authenticate(r)
		if err != nil || !ok || user.Name != "jane" || !slices.Equal(user.Groups, jane.Organizations) {
			t.Fatalf("got %+v, %v, %v", user, ok, err)
		}
		if id := user.Extra[credentialID]; len(id) != 1 || !strings.HasPrefix(id[0], "X509SHA256=") {
			t.Errorf("credential ID: %q", id)
		}
	}
	if _, ok, err := x.Authenticate(shown(t, stranger, jane)); ok || err == nil {
		t.Errorf("another authority's certificate: %v, %v; want an error", ok, err)
	}
	if _, ok, err := x.Authenticate(shown(t, ca, pki.Leaf{CommonName: "web", Server: true, Hosts: []string{"web"}})); ok || err == nil {
		t.Errorf("a server's certificate: %v, %v; want an error", ok, err)
	}
	if _, ok, err := x.Authenticate(httptest.NewRequest(http.MethodGet, "/api", nil)); ok || err != nil {
		t.Errorf("no certificate: %v, %v; want no opinion", ok, err)
	}
	_, x.Roots = authority(t)
	if _, ok, err := x.Authenticate(r); ok || err == nil {
		t.Errorf("after the authorities have changed: %v, %v; want an error", ok, err)
	}
}

func TestProxiesNameUsersInHeaders(t *testing.T) {
	t.Parallel()
	ca, roots := authority(t)
	header := &Header{
		Roots: roots, AllowedNames: []string{"front"}, User: []string{"X-Remote-User"}, UID: []string{"X-Remote-Uid"},
		Group: []string{"X-Remote-Group"}, ExtraPrefix: []string{"X-Remote-Extra-"},
	}
	request := func(proxy string) *http.Request {
		r := shown(t, ca, pki.Leaf{CommonName: proxy, Client: true})
		r.Header = http.Header{
			"X-Remote-User": {"jane"}, "X-Remote-Uid": {"7"}, "X-Remote-Group": {"dev", "", "ops"}, "Accept": {"text/plain"},
			"X-Remote-Extra-Example.org%2fscopes": {"read", "write"},
		}
		return r
	}
	r := request("front")
	user, ok, err := header.Authenticate(r)
	if err != nil || !ok || user.Name != "jane" || user.UID != "7" || !slices.Equal(user.Groups, []string{"dev", "ops"}) {
		t.Fatalf("got %+v, %v, %v", user, ok, err)
	}
	if scopes := user.Extra["example.org/scopes"]; !slices.Equal(scopes, []string{"read", "write"}) {
		t.Errorf("extra: %q", user.Extra)
	}
	if len(r.Header) != 1 || r.Header.Get("Accept") == "" {
		t.Errorf("headers left for those behind: %q", r.Header)
	}
	for name, r := range map[string]*http.Request{
		"a certificate that no proxy has": request("jane"),
		"no certificate":                  {Header: request("front").Header},
	} {
		if user, ok, err := header.Authenticate(r); ok || err != nil {
			t.Errorf("%s: %+v, %v", name, user, err)
		}
	}
}

func TestBearerTokensAreFoundAndTakenOut(t *testing.T) {
	t.Parallel()
	protocol := func(token string) string {
		return websocketBearer + base64.RawURLEncoding.EncodeToString([]byte(token))
	}
	websocket := func(protocols ...string) http.Header {
		return http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, http.CanonicalHeaderKey(protocolHeader): protocols}
	}
	for name, test := range map[string]struct {
		header http.Header
		user   string // "" is nobody
		fails  string
		left   string // of the subprotocols
	}{
		"no header":           {header: http.Header{}},
		"another scheme":      {header: http.Header{"Authorization": {"Basic c2VjcmV0"}}},
		"nothing behind":      {header: http.Header{"Authorization": {"Bearer "}}},
		"a good token":        {header: http.Header{"Authorization": {"Bearer secret"}}, user: "jane"},
		"in lower case":       {header: http.Header{"Authorization": {"bearer secret"}}, user: "jane"},
		"an unknown token":    {header: http.Header{"Authorization": {"Bearer guess"}}, fails: "invalid bearer token"},
		"subprotocol":         {header: websocket("v5.channel.k8s.io, "+protocol("secret"), "v4.channel.k8s.io"), user: "jane", left: "v5.channel.k8s.io, v4.channel.k8s.io"},
		"unknown in one":      {header: websocket("v5.channel.k8s.io", protocol("guess")), fails: "invalid bearer token"},
		"alone":               {header: websocket(protocol("secret")), fails: "only"},
		"twice":               {header: websocket("a", protocol("secret"), protocol("secret")), fails: "more than one"},
		"not base64":          {header: websocket("a", websocketBearer+"%%"), fails: "base64url"},
		"no websocket":        {header: http.Header{http.CanonicalHeaderKey(protocolHeader): {"a", protocol("secret")}}},
		"websocket, no token": {header: websocket("v5.channel.k8s.io")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &Bearer{Kinds: []Tokens{StaticTokens{"secret": {Name: "jane"}}}}
			for range 2 { // the second time from memory
				r := httptest.NewRequest(http.MethodGet, "/api", nil)
				r.Header = test.header.Clone()
				user, ok, err := b.Authenticate(r)
				if test.fails != "" {
					if err == nil || !strings.Contains(err.Error(), test.fails) {
						t.Errorf("got %v, want an error with %q", err, test.fails)
					}
					continue
				}
				if err != nil || ok != (test.user != "") || ok && user.Name != test.user {
					t.Fatalf("got %+v, %v, %v", user, ok, err)
				}
				if ok && r.Header.Get("Authorization") != "" {
					t.Error("the token is still in the request")
				}
				if got := strings.Join(r.Header.Values(protocolHeader), "; "); test.left != "" && got != test.left {
					t.Errorf("subprotocols left: %q, want %q", got, test.left)
				}
			}
		})
	}
}

func TestChainsAskInTurn(t *testing.T) {
	t.Parallel()
	ca, roots := authority(t)
	stranger, _ := authority(t)
	chain := OrNobody{
		First: Chain{&X509{Roots: roots}, &Bearer{Kinds: []Tokens{StaticTokens{"secret": {Name: "bot", Groups: []string{"robots"}}}}}},
		Then:  Nobody{Paths: []string{"/healthz"}},
	}
	r := shown(t, stranger, pki.Leaf{CommonName: "jane", Client: true})
	if _, ok, err := chain.Authenticate(r); ok || err == nil {
		t.Errorf("a bad certificate alone: %v, %v; want an error, not anonymity", ok, err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	user, ok, err := chain.Authenticate(r)
	if err != nil || !ok || user.Name != "bot" || !slices.Equal(user.Groups, []string{"robots", Authenticated}) {
		t.Errorf("a bad certificate and a good token: %+v, %v, %v", user, ok, err)
	}
	r = shown(t, ca, pki.Leaf{CommonName: "jane", Client: true})
	r.Header.Set("Authorization", "Basic c2VjcmV0")
	if user, ok, err := chain.Authenticate(r); err != nil || !ok || user.Name != "jane" || r.Header.Get("Authorization") != "" {
		t.Errorf("a good certificate: %+v, %v, %v; Authorization %q", user, ok, err, r.Header.Get("Authorization"))
	}
	if _, ok, err := chain.Authenticate(httptest.NewRequest(http.MethodGet, "/api", nil)); ok || err != nil {
		t.Errorf("nobody where that is not allowed: %v, %v", ok, err)
	}
	user, ok, err = chain.Authenticate(httptest.NewRequest(http.MethodGet, "/healthz", nil))
	if err != nil || !ok || user.Name != Anonymous || !slices.Equal(user.Groups, []string{Unauthenticated}) {
		t.Errorf("nobody: %+v, %v, %v", user, ok, err)
	}
}

func TestTokenFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, fails string }{
		"good":       {text: "s3cret,jane,7,\"dev,ops\"\nother,joe,8\n"},
		"columns":    {"a,jane,7\nb,joe\n", "line 2 has 2 columns"},
		"empty":      {" ,jane,7\n", "line 1 has an empty token"},
		"repeated":   {"a,jane,7\nb,joe,8\na,jim,9\n", "line 3 repeats"},
		"bad quotes": {"a,\"jane,7\n", "token file "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "tokens.csv")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			tokens, err := LoadStaticTokens(file)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || !strings.Contains(err.Error(), file) {
					t.Errorf("got %v, want the file's name and %q", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			identity, err := tokens.Token(t.Context(), "s3cret", nil)
			if err != nil || identity == nil || identity.User.Name != "jane" || identity.User.UID != "7" || !slices.Equal(identity.User.Groups, []string{"dev", "ops"}) {
				t.Errorf("got %+v, %v", identity, err)
			}
			if identity, err := tokens.Token(t.Context(), "s3cre", nil); identity != nil || err != nil {
				t.Errorf("another token: %+v, %v", identity, err)
			}
		})
	}
	if _, err := LoadStaticTokens(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestGroupsAreNotAppendedInPlace(t *testing.T) {
	t.Parallel()
	groups := append(make([]string, 0, 4), "dev")
	kept := &resource.User{Name: "jane", Groups: groups}
	if got := withGroup(kept); !slices.Equal(got.Groups, []string{"dev", Authenticated}) || groups[:2][1] != "" {
		t.Errorf("groups %q; the authenticator's own: %q", got.Groups, groups[:2])
	}
}
