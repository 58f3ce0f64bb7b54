package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/webhook"
	"github.com/septet-io/septet/resource"
)

// WebhookTokens asks a remote service for the owners of tokens, by TokenReviews. What it says is remembered for a time.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication
type WebhookTokens struct {
	client  *webhook.Client
	version string
	ttl     time.Duration
	// implicit are the audiences that a service means which names none: those of this server.
	implicit []string

	mu sync.Mutex
	// known is guarded by mu: by the hash of token and audiences.
	known map[[sha256.Size]byte]remembered
}

// remembered is what the service said; a nil identity is nobody.
type remembered struct {
	identity *Identity
	refusal  string
	until    time.Time
}

// reviewPause is the first pause after a failed call.
const reviewPause = 500 * time.Millisecond

// LoadWebhookTokens reads the service's kubeconfig file. version is v1 or v1beta1, ttl for how long its word is kept.
func LoadWebhookTokens(file, version string, ttl time.Duration, implicit []string) (*WebhookTokens, error) {
	if version != "v1" && version != "v1beta1" {
		return nil, fmt.Errorf("--authentication-token-webhook-version: %q is neither v1 nor v1beta1", version)
	}
	client, err := webhook.Load(file)
	if err != nil {
		return nil, fmt.Errorf("--authentication-token-webhook-config-file: %w", err)
	}
	client.Backoff = webhook.Backoff(reviewPause)
	return &WebhookTokens{client: client, version: version, ttl: ttl, implicit: implicit}, nil
}

// Token is Tokens.
func (w *WebhookTokens) Token(ctx context.Context, token string, audiences []string) (*Identity, error) {
	key := sha256.Sum256([]byte(token + "\x00" + strings.Join(audiences, "\x00")))
	now := time.Now()
	w.mu.Lock()
	known, ok := w.known[key]
	w.mu.Unlock()
	if !ok || !now.Before(known.until) {
		fresh, err := w.ask(ctx, token, audiences)
		if err != nil {
			return nil, fmt.Errorf("webhook: %w", err) // another attempt may do better
		}
		known = *fresh
		w.remember(key, known, now)
	}
	if known.refusal != "" {
		return nil, errors.New(known.refusal)
	}
	if known.identity == nil {
		return nil, nil
	}
	copied := *known.identity
	return &copied, nil
}

func (w *WebhookTokens) remember(key [sha256.Size]byte, said remembered, now time.Time) {
	if w.ttl <= 0 {
		return
	}
	said.until = now.Add(w.ttl)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil || len(w.known) >= knownLimit {
		w.known = map[[sha256.Size]byte]remembered{}
	}
	w.known[key] = said
}

// ask sends a TokenReview. Its two versions differ in name only.
func (w *WebhookTokens) ask(ctx context.Context, token string, audiences []string) (*remembered, error) {
	review := &authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/" + w.version},
		Spec:     authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
	}
	answer := &authenticationv1.TokenReview{}
	if err := w.client.Call(ctx, review, answer); err != nil {
		return nil, err
	}
	if !answer.Status.Authenticated {
		return &remembered{refusal: answer.Status.Error}, nil
	}
	meant := answer.Status.Audiences
	if len(meant) == 0 {
		meant = w.implicit
	}
	var valid []string
	for _, audience := range audiences {
		for _, m := range meant {
			if m == audience {
				valid = append(valid, m)
			}
		}
	}
	if len(audiences) > 0 && len(valid) == 0 {
		return &remembered{}, nil
	}
	info := answer.Status.User
	user := resource.User{Name: info.Username, UID: info.UID, Groups: info.Groups}
	for key, values := range info.Extra {
		if user.Extra == nil {
			user.Extra = map[string][]string{}
		}
		user.Extra[key] = values
	}
	return &remembered{identity: &Identity{User: user, Audiences: valid}}, nil
}
