package authn

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/septet-io/septet/resource"
)

// ErrInvalidToken is what a client with a bearer token that nobody knows is told.
var ErrInvalidToken = errors.New("invalid bearer token")

// Identity is who a token belongs to, and for whom it was meant.
type Identity struct {
	User resource.User
	// Audiences are those of the wanted ones for which the token is valid; nil if the kind of token has none.
	Audiences []string
}

// Tokens knows the owners of one kind of bearer token. It returns nil without an error for tokens of other kinds.
// audiences are the acceptable ones; a token that is meant for none of them is an error.
type Tokens interface {
	Token(ctx context.Context, token string, audiences []string) (*Identity, error)
}

// Bearer authenticates requests with an Authorization header, or a WebSocket subprotocol, by asking each kind of token in turn.
// Success is remembered for ten seconds, so that a busy client does not cost a signature check at each request.
type Bearer struct {
	Kinds []Tokens
	// Audiences are those of the API server itself.
	Audiences []string

	mu sync.Mutex
	// known is guarded by mu: by the token's hash, so that tokens are not kept in memory.
	known map[[sha256.Size]byte]knownToken
}

type knownToken struct {
	user  *resource.User
	until time.Time
}

const (
	knownTime  = 10 * time.Second
	knownLimit = 4096
	// websocketBearer starts the subprotocol in which browsers can send a token: base64url after it.
	websocketBearer = "base64url.bearer.authorization.k8s.io."
	protocolHeader  = "Sec-WebSocket-Protocol"
)

// Authenticate is request.Authenticator. The credentials are removed from the request.
func (b *Bearer) Authenticate(r *http.Request) (*resource.User, bool, error) {
	token, strip, err := bearerToken(r)
	if token == "" || err != nil {
		return nil, false, err
	}
	hash := sha256.Sum256([]byte(token))
	now := time.Now()
	b.mu.Lock()
	known, ok := b.known[hash]
	b.mu.Unlock()
	if ok && now.Before(known.until) {
		strip()
		return known.user, true, nil
	}
	identity, err := b.Token(r.Context(), token, b.Audiences)
	if err != nil {
		return nil, false, errors.Join(ErrInvalidToken, err)
	}
	if identity == nil {
		return nil, false, ErrInvalidToken
	}
	b.mu.Lock()
	if b.known == nil || len(b.known) >= knownLimit {
		b.known = map[[sha256.Size]byte]knownToken{}
	}
	b.known[hash] = knownToken{user: &identity.User, until: now.Add(knownTime)}
	b.mu.Unlock()
	strip()
	return &identity.User, true, nil
}

// Token is Tokens, for TokenReview.
func (b *Bearer) Token(ctx context.Context, token string, audiences []string) (*Identity, error) {
	var errs []error
	for _, kind := range b.Kinds {
		identity, err := kind.Token(ctx, token, audiences)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if identity != nil {
			return identity, nil
		}
	}
	return nil, errors.Join(errs...)
}

// bearerToken finds the token of a request and how to take it out.
func bearerToken(r *http.Request) (token string, strip func(), err error) {
	kind, value, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if strings.EqualFold(kind, "bearer") {
		return strings.TrimSpace(value), func() { r.Header.Del("Authorization") }, nil
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return protocolToken(r)
	}
	return "", nil, nil
}

// protocolToken finds the token among the WebSocket subprotocols that a client offers. One that is not in order is an error:
// who sends a token does not mean to be anonymous.
func protocolToken(r *http.Request) (token string, strip func(), err error) {
	var others []string
	for _, header := range r.Header.Values(protocolHeader) {
		for _, protocol := range strings.Split(header, ",") {
			protocol = strings.TrimSpace(protocol)
			encoded, ok := strings.CutPrefix(protocol, websocketBearer)
			if !ok {
				others = append(others, protocol)
				continue
			}
			raw, err := base64.RawURLEncoding.DecodeString(encoded)
			switch {
			case err != nil || len(raw) == 0 || !utf8.Valid(raw):
				return "", nil, errors.New("the bearer token among the WebSocket subprotocols is not text in base64url")
			case token != "":
				return "", nil, errors.New("more than one bearer token among the WebSocket subprotocols")
			}
			token = string(raw)
		}
	}
	// A client that offers a token alone would be answered with it: there must be another subprotocol beside it.
	if token != "" && len(others) == 0 {
		return "", nil, errors.New("a bearer token must not be the only WebSocket subprotocol")
	}
	return token, func() { r.Header.Set(protocolHeader, strings.Join(others, ", ")) }, nil
}
