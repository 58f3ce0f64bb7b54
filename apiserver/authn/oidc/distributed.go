package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
)

// distributed fetches a claim that a token only refers to: OpenID Connect Core 1.0, section 5.6.2.
type distributed struct {
	claim  string
	issuer *issuer
	ctx    context.Context // of the providers' keys

	mu sync.Mutex
	// verifiers is guarded by mu: by the issuer of what was fetched.
	verifiers map[string]*gooidc.IDTokenVerifier
}

// maxSources bounds the issuers that are remembered, maxClaim the bytes of a fetched claim.
const (
	maxSources = 16
	maxClaim   = 1 << 20
)

// source is where a claim is.
type source struct {
	Endpoint    string `json:"endpoint"`
	AccessToken string `json:"access_token"`
}

// expand puts the claim among the others, if it is somewhere else.
func (d *distributed) expand(ctx context.Context, c claims) error {
	rawNames, refers := c["_claim_names"]
	if _, there := c[d.claim]; there || !refers {
		return nil
	}
	names, sources := map[string]string{}, map[string]source{}
	if err := json.Unmarshal(rawNames, &names); err != nil {
		return fmt.Errorf("_claim_names: %w", err)
	}
	name, refers := names[d.claim]
	if !refers {
		return nil
	}
	if err := json.Unmarshal(c["_claim_sources"], &sources); err != nil {
		return fmt.Errorf("_claim_sources: %w", err)
	}
	from, there := sources[name]
	if !there {
		return fmt.Errorf("_claim_names has the source %s, which is not in _claim_sources", name)
	}
	if from.Endpoint == "" {
		return nil // an aggregated claim, which nobody supports
	}
	token, err := d.fetch(ctx, from)
	if err != nil {
		return fmt.Errorf("get claim %q from %s: %w", d.claim, from.Endpoint, err)
	}
	verifier, err := d.verifier(issuerOf(token))
	if err != nil {
		return err
	}
	found, err := d.issuer.verify(ctx, verifier, token)
	if err != nil {
		return fmt.Errorf("verify claim %q: %w", d.claim, err)
	}
	value, there := found[d.claim]
	if !there {
		return fmt.Errorf("what %s returned has no claim %q", from.Endpoint, d.claim)
	}
	c[d.claim] = value
	return nil
}

func (d *distributed) fetch(ctx context.Context, from source) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from.Endpoint, nil)
	if err != nil {
		return "", err
	}
	if from.AccessToken != "" {
		r.Header.Set("Authorization", "Bearer "+from.AccessToken)
	}
	answer, err := d.issuer.client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return "", fmt.Errorf("status %s", answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxClaim))
	return string(body), err
}

// verifier is that of whoever signed the claim.
func (d *distributed) verifier(url string) (*gooidc.IDTokenVerifier, error) {
	if url == d.issuer.url {
		return d.issuer.verifier.Load(), nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.verifiers[url]; known != nil {
		return known, nil
	}
	if len(d.verifiers) >= maxSources {
		return nil, fmt.Errorf("claims come from more than %d issuers", maxSources)
	}
	ctx := gooidc.ClientContext(d.ctx, d.issuer.client)
	provider, err := gooidc.NewProvider(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("keys of %q: %w", url, err)
	}
	if d.verifiers == nil {
		d.verifiers = map[string]*gooidc.IDTokenVerifier{}
	}
	d.verifiers[url] = provider.VerifierContext(ctx, d.issuer.config)
	return d.verifiers[url], nil
}
