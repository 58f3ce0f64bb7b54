package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/authn"
)

// Algorithms are those by which tokens may be signed.
var Algorithms = []string{
	gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.ES256, gooidc.ES384, gooidc.ES512, gooidc.PS256, gooidc.PS384, gooidc.PS512,
}

// issuer verifies the tokens of one provider: authn.Tokens. It asks for the provider's keys in the background until it has them.
type issuer struct {
	url       string
	audiences []string
	rules     *rules
	config    *gooidc.Config
	client    *http.Client
	verifier  atomic.Pointer[gooidc.IDTokenVerifier]
	ready     chan struct{} // closed when there is a verifier
	groups    *distributed  // nil if groups are no claim
}

const (
	discoveryPause = 10 * time.Second // after a provider could not be reached
	callTimeout    = 30 * time.Second
)

// newIssuer begins to look for the provider; ctx ends that, and the use of its keys.
func newIssuer(ctx context.Context, a *Authenticator, algorithms, disallowed []string) (*issuer, error) {
	compiled, errs := a.compile(disallowed, field.NewPath("jwt"))
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if pem := a.Issuer.CertificateAuthority; pem != "" {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(pem)) // checked by compile
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	i := &issuer{
		url: a.Issuer.URL, audiences: a.Issuer.Audiences, rules: compiled, ready: make(chan struct{}),
		config: &gooidc.Config{SkipClientIDCheck: true, SupportedSigningAlgs: algorithms},
		client: &http.Client{Timeout: callTimeout, Transport: transport},
	}
	if a.Issuer.DiscoveryURL != "" {
		i.client.Transport = &elsewhere{to: a.Issuer.DiscoveryURL, from: strings.TrimSuffix(i.url, "/") + wellKnown, by: transport}
	}
	if claim := a.ClaimMappings.Groups.Claim; claim != "" {
		i.groups = &distributed{claim: claim, issuer: i, ctx: ctx}
	}
	go i.discover(ctx)
	return i, nil
}

const wellKnown = "/.well-known/openid-configuration"

// elsewhere sends requests for a provider's discovery document to another address.
type elsewhere struct {
	from, to string
	by       http.RoundTripper
}

// RoundTrip is http.RoundTripper.
func (e *elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || r.URL.String() != e.from {
		return e.by.RoundTrip(r)
	}
	redirected, err := http.NewRequestWithContext(r.Context(), http.MethodGet, e.to, nil)
	if err != nil {
		return nil, err
	}
	redirected.Header = r.Header
	return e.by.RoundTrip(redirected)
}

func (i *issuer) discover(ctx context.Context) {
	for {
		provider, err := gooidc.NewProvider(gooidc.ClientContext(ctx, i.client), i.url)
		if err == nil {
			i.verifier.Store(provider.VerifierContext(gooidc.ClientContext(ctx, i.client), i.config))
			close(i.ready)
			return
		}
		if ctx.Err() != nil {
			return
		}
		klog.ErrorS(err, "Cannot reach an OpenID Connect provider; its tokens are refused until then", "issuer", i.url)
		select {
		case <-ctx.Done():
			return
		case <-time.After(discoveryPause):
		}
	}
}

// Token is authn.Tokens. Tokens of providers have no audiences for the server's sake: they were made for its client ID.
func (i *issuer) Token(ctx context.Context, token string, _ []string) (*authn.Identity, error) {
	if issuerOf(token) != i.url {
		return nil, nil
	}
	verifier := i.verifier.Load()
	if verifier == nil {
		return nil, fmt.Errorf("oidc: the keys of %s are not known yet", i.url)
	}
	c, err := i.verify(ctx, verifier, token)
	if err != nil {
		return nil, fmt.Errorf("oidc: verify token: %w", err)
	}
	if i.groups != nil {
		if err := i.groups.expand(ctx, c); err != nil {
			return nil, fmt.Errorf("oidc: could not expand distributed claims: %w", err)
		}
	}
	user, err := i.rules.user(c)
	if err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	return &authn.Identity{User: *user}, nil
}

// verify checks signature, time and audience.
func (i *issuer) verify(ctx context.Context, verifier *gooidc.IDTokenVerifier, token string) (claims, error) {
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(verified.Audience, func(a string) bool { return slices.Contains(i.audiences, a) }) {
		return nil, fmt.Errorf("expected audience in %q got %q", i.audiences, verified.Audience)
	}
	var c claims
	return c, verified.Claims(&c)
}

// issuerOf reads who a token says that it is from, unverified; empty if it is no JWT.
func issuerOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var said struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &said) != nil {
		return ""
	}
	return said.Issuer
}

var errNotReady = errors.New("not every provider's keys could be read in time")
