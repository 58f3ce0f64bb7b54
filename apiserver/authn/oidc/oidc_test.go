package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// provider is a real OpenID Connect provider: it publishes its keys over TLS, and signs.
type provider struct {
	*httptest.Server
	signer jose.Signer
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{}
	if p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	answer := func(path string, document func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(document()); err != nil {
				t.Error(err)
			}
		})
	}
	discovery := func() any {
		return map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}}
	}
	answer(wellKnown, discovery)
	answer("/elsewhere", discovery)
	answer("/keys", func() any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}}
	})
	mux.HandleFunc("/groups", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer far" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(p.token(t, map[string]any{"groups": []string{"far"}})))
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
}

// token signs claims on top of the usual ones.
func (p *provider) token(t *testing.T, more map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": p.URL, "aud": "cluster", "sub": "jane", "exp": time.Now().Add(time.Hour).Unix(), "nbf": time.Now().Add(-time.Minute).Unix()}
	for name, value := range more {
		all[name] = value
	}
	token, err := jwt.Signed(p.signer).Claims(all).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (p *provider) configuration(t *testing.T, rest string) *Configuration {
	t.Helper()
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    url: " + p.URL +
		"\n    audiences: [cluster, other]\n    audienceMatchPolicy: MatchAny\n    certificateAuthority: |\n      " +
		strings.ReplaceAll(strings.TrimSpace(p.authority()), "\n", "\n      ") + "\n" + rest
	config, err := Parse([]byte(text), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return config
}

func open(t *testing.T, config *Configuration) *Set {
	t.Helper()
	set, err := Open(t.Context(), config, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range set.current.Load().issuers {
		<-one.ready
	}
	if err := set.Ready(); err != nil {
		t.Error(err)
	}
	return set
}

const byExpressions = `
  claimValidationRules:
  - {claim: tenant, requiredValue: acme}
  - {expression: "claims.exp - claims.nbf <= 7200", message: too long}
  claimMappings:
    username: {expression: '"oidc:" + claims.sub'}
    groups: {expression: 'dyn(claims.?roles.orValue([])).map(r, "role:" + r)'}
    uid: {claim: sub}
    extra: [{key: example.org/level, valueExpression: 'claims.?level.orValue("")'}]
  userValidationRules:
  - {expression: "!user.username.startsWith('oidc:system:')", message: reserved}
`

func TestExpressionsMakeUsers(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	set := open(t, p.configuration(t, byExpressions))
	good := func(more map[string]any) map[string]any {
		all := map[string]any{"tenant": "acme"}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	for name, test := range map[string]struct {
		claims map[string]any
		fails  string
		groups []string
		level  []string
	}{
		"plain":              {claims: good(nil)},
		"groups and more":    {claims: good(map[string]any{"roles": []string{"a", "b"}, "level": "high"}), groups: []string{"role:a", "role:b"}, level: []string{"high"}},
		"the other audience": {claims: good(map[string]any{"aud": []string{"x", "other"}})},
		"another audience":   {claims: good(map[string]any{"aud": "x"}), fails: "expected audience"},
		"over":               {claims: good(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), fails: "expired"},
		"another tenant":     {claims: map[string]any{"tenant": "evil"}, fails: "tenant value does not match"},
		"no tenant":          {claims: nil, fails: "not present"},
		"too long":           {claims: good(map[string]any{"exp": time.Now().Add(9 * time.Hour).Unix()}), fails: "too long"},
		"a reserved name":    {claims: good(map[string]any{"sub": "system:x"}), fails: "reserved"},
		"no string":          {claims: good(map[string]any{"roles": []any{1}}), fails: "groups"},
	} {
		identity, err := set.Token(t.Context(), p.token(t, test.claims), nil)
		if test.fails != "" {
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%s: %+v, %v; want an error with %q", name, identity, err, test.fails)
			}
			continue
		}
		if err != nil || identity == nil {
			t.Errorf("%s: %+v, %v", name, identity, err)
			continue
		}
		user := identity.User
		if user.Name != "oidc:jane" || user.UID != "jane" || !slices.Equal(user.Groups, test.groups) || !slices.Equal(user.Extra["example.org/level"], test.level) {
			t.Errorf("%s: %+v", name, user)
		}
	}
	if identity, err := set.Token(t.Context(), startProvider(t).token(t, nil), nil); identity != nil || err != nil {
		t.Errorf("another provider's token: %+v, %v; want no opinion", identity, err)
	}
}

func TestClaimsMakeUsers(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	set := open(t, p.configuration(t, `
  claimMappings:
    username: {claim: email, prefix: "m:"}
    groups: {claim: groups, prefix: "g:"}
`))
	far := map[string]any{
		"email": "j@x", "_claim_names": map[string]any{"groups": "src"},
		"_claim_sources": map[string]any{"src": map[string]any{"endpoint": p.URL + "/groups", "access_token": "far"}},
	}
	for name, test := range map[string]struct {
		claims map[string]any
		fails  string
		groups string
	}{
		"one group":    {claims: map[string]any{"email": "j@x", "groups": "a", "jti": "7"}, groups: "g:a"},
		"some groups":  {claims: map[string]any{"email": "j@x", "email_verified": true, "groups": []string{"a", "b"}}, groups: "g:a g:b"},
		"not verified": {claims: map[string]any{"email": "j@x", "email_verified": false}, fails: "email not verified"},
		"no address":   {claims: nil, fails: "email"},
		"elsewhere":    {claims: far, groups: "g:far"},
	} {
		identity, err := set.Token(t.Context(), p.token(t, test.claims), nil)
		switch {
		case test.fails != "":
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%s: %+v, %v", name, identity, err)
			}
		case err != nil || identity.User.Name != "m:j@x" || strings.Join(identity.User.Groups, " ") != test.groups:
			t.Errorf("%s: %+v, %v", name, identity, err)
		}
	}
}

func TestAConfigurationIsReplacedWhenItsProvidersAreThere(t *testing.T) {
	t.Parallel()
	p, q := startProvider(t), startProvider(t)
	mapping := "  claimMappings:\n    username: {claim: sub, prefix: ''}\n"
	set := open(t, p.configuration(t, mapping))
	next := q.configuration(t, mapping)
	next.JWT[0].Issuer.DiscoveryURL = q.URL + "/elsewhere"
	if err := set.Replace(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if identity, err := set.Token(t.Context(), q.token(t, nil), nil); err != nil || identity == nil || identity.User.Name != "jane" {
		t.Errorf("the new provider: %+v, %v", identity, err)
	}
	if identity, _ := set.Token(t.Context(), p.token(t, nil), nil); identity != nil {
		t.Errorf("the old provider: %+v", identity)
	}
	strangers := p.configuration(t, mapping)
	strangers.Anonymous = &Anonymous{Enabled: true}
	if err := set.Replace(t.Context(), strangers); err == nil || err.Error() != "anonymous: Forbidden: changed from initial configuration file" {
		t.Errorf("strangers were let in while the server runs: %v", err)
	}
	gone := startProvider(t)
	unreachable := gone.configuration(t, mapping)
	gone.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := set.Replace(ctx, unreachable); err == nil {
		t.Error("a configuration came into use whose provider is not there")
	}
	if identity, err := set.Token(t.Context(), q.token(t, nil), nil); identity == nil {
		t.Errorf("after that the one before: %v", err)
	}
}

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"

func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	one := func(issuer, rest string) string {
		return head + "jwt: [{issuer: {" + issuer + "}, claimMappings: {" + rest + "}}]"
	}
	const issuer, username = "url: https://a, audiences: [x]", "username: {claim: sub, prefix: ''}"
	for name, test := range map[string]struct {
		text  string
		wants []string
	}{
		"another kind":       {"apiVersion: v1\nkind: Config", []string{"AuthenticationConfiguration"}},
		"unknown fields":     {head + "colour: red", []string{"colour"}},
		"all of an issuer":   {one("url: 'http://u:p@a?b#c', audiences: [], discoveryURL: ftp://x, certificateAuthority: x", username), []string{"scheme must be https", "username or password", "a query", "a fragment", "audiences", "discoveryURL", "certificateAuthority"}},
		"our own issuer":     {one("url: https://own, audiences: [x]", username), []string{"disallowed issuers"}},
		"audiences":          {one("url: https://a, audiences: [x, x]", username), []string{"Duplicate", "MatchAny"}},
		"no username":        {one(issuer, ""), []string{"username: Required"}},
		"no prefix":          {one(issuer, "username: {claim: sub}"), []string{"prefix is required"}},
		"both":               {one(issuer, "username: {claim: sub, expression: claims.sub}"), []string{"can't both be set"}},
		"no CEL":             {one(issuer, "username: {expression: 'claims.'}"), []string{"compilation failed"}},
		"an unverified mail": {one(issuer, "username: {expression: claims.email}"), []string{"email_verified"}},
		"keys of extra":      {one(issuer, username+", extra: [{key: A, valueExpression: claims.a}, {key: x.k8s.io/a}]"), []string{"extra[0].key", "lowercase", "reserved", "valueExpression: Required"}},
		"twice":              {head + "jwt: [{issuer: {" + issuer + "}, claimMappings: {" + username + "}}, {issuer: {" + issuer + "}, claimMappings: {" + username + "}}]", []string{"jwt[1].issuer.url: Duplicate"}},
		"rules":              {head + "jwt: [{issuer: {" + issuer + "}, claimMappings: {" + username + "}, claimValidationRules: [{}, {expression: '1'}], userValidationRules: [{expression: user.name}]}]", []string{"claimValidationRules[0]", "must evaluate to bool", "undefined field"}},
		"anonymous":          {head + "anonymous: {enabled: false, conditions: [{path: /a}]}", []string{"enabled should be set to true"}},
	} {
		_, err := Parse([]byte(test.text), []string{"https://own"})
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range test.wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %q", name, want, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "jwt: [{issuer: {url: https://a, audiences: [x]}, claimMappings: {username: {claim: sub, prefix: ''}}}]"))
	f.Add([]byte(head + "anonymous: {enabled: true, conditions: [{path: /a}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := Parse(text, nil)
		if (config == nil) == (err == nil) {
			t.Errorf("%+v, %v", config, err)
		}
	})
}

func FuzzIssuerOf(f *testing.F) {
	f.Add("a.eyJpc3MiOiJ4In0.c")
	f.Fuzz(func(_ *testing.T, token string) { issuerOf(token) })
}
