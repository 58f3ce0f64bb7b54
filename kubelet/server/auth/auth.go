// Package auth says who calls the node agent's own port and whether they may: certificates of the cluster's clients, bearer tokens by
// TokenReview, and every request by SubjectAccessReview on the node that it is about.
package auth

import (
	"context"
	"net/http"
	"time"

	"k8s.io/client-go/kubernetes"

	"crypto/x509"
)

// Config is who is believed and who decides.
type Config struct {
	NodeName string
	// ClientCAs returns the authorities of client certificates, asked at each connection so that they can change; nil: no certificate counts.
	ClientCAs func() (*x509.CertPool, error)
	// Reviews is where tokens and permissions are asked. Nil: no token counts, and unless AlwaysAllow nothing is allowed.
	Reviews kubernetes.Interface
	// Anonymous lets requests without credentials be reviewed as system:anonymous.
	Anonymous bool
	// AlwaysAllow asks nobody (--authorization-mode=AlwaysAllow).
	AlwaysAllow bool
	// NoTokens refuses bearer tokens (--authentication-token-webhook=false).
	NoTokens bool
	// TokenTTL is how long a TokenReview's answer counts; AllowTTL and DenyTTL how long a SubjectAccessReview's. Zero: 2, 5 and half a minute.
	TokenTTL, AllowTTL, DenyTTL time.Duration
}

// User is who calls.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
}

// Guard checks requests.
type Guard struct {
	config  Config
	tokens  *memory[*User]
	reviews *memory[bool]
}

// New returns a Guard.
func New(config Config) *Guard {
	setDefault(&config.TokenTTL, 2*time.Minute)
	setDefault(&config.AllowTTL, 5*time.Minute)
	setDefault(&config.DenyTTL, 30*time.Second)
	return &Guard{config: config, tokens: newMemory[*User](), reviews: newMemory[bool]()}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

type userKey struct{}

// UserFrom returns who makes the request that ctx belongs to; nil outside of a Guard.
func UserFrom(ctx context.Context) *User {
	user, _ := ctx.Value(userKey{}).(*User)
	return user
}

// Wrap lets only those requests through that are allowed: 401 for unknown callers, 403 for those who may not.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := g.authenticate(r)
		if err != nil || user == nil {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		allowed, refusal, err := g.authorize(r.Context(), user, r)
		if err != nil {
			http.Error(w, "Authorization error ("+refusal+")", http.StatusInternalServerError)
			return
		}
		if !allowed {
			http.Error(w, "Forbidden ("+refusal+")", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
	})
}
