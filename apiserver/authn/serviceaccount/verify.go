package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/resource"
)

// Objects gets what a token may be bound to. Reads may be a little old.
type Objects interface {
	ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
	Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	Node(ctx context.Context, name string) (*corev1.Node, error)
}

// Verifier knows the owners of service account tokens.
type Verifier struct {
	// Issuers are those whose tokens are accepted; the first is that of new tokens.
	Issuers []string
	// Audiences are those of the API server itself, for which tokens from Secrets are good; the issuers if empty.
	Audiences []string
	Keys      []jose.JSONWebKey
	Objects   Objects
	// Lookup false skips the check that the service account still exists (--service-account-lookup=false).
	Lookup bool
	// MarkUsed labels the Secret of a token that was used with the day; nil: nobody wants to know.
	MarkUsed func(ctx context.Context, secret *corev1.Secret, label, day string)

	uses uses
}

const (
	legacyIssuer = "kubernetes/serviceaccount"
	// invalidSince labels Secrets whose token nobody has used for long.
	invalidSince = "kubernetes.io/legacy-token-invalid-since"
	// leeway forgives clocks that differ between machines.
	leeway = 60 * time.Second
	// deletionGrace is for how long a token outlives the start of its pod's or account's deletion.
	deletionGrace = 60 * time.Second
)

var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}

// Token is authn.Tokens.
func (v *Verifier) Token(ctx context.Context, token string, audiences []string) (*authn.Identity, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return nil, nil // not a JWT, or not one of ours
	}
	var unverified Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&unverified); err != nil {
		return nil, nil
	}
	legacy := unverified.Issuer == legacyIssuer
	if !legacy && !slices.Contains(v.Issuers, unverified.Issuer) {
		return nil, nil // another issuer's: OIDC may know it
	}
	claims, err := v.claims(parsed)
	if err != nil {
		return nil, err
	}
	if legacy {
		return v.legacy(ctx, token, claims, audiences)
	}
	return v.bound(ctx, claims, audiences)
}

func (v *Verifier) claims(parsed *jwt.JSONWebToken) (*Claims, error) {
	keyID := ""
	if len(parsed.Headers) > 0 {
		keyID = parsed.Headers[0].KeyID
	}
	for i := range v.Keys {
		if keyID != "" && v.Keys[i].KeyID != keyID {
			continue
		}
		var claims Claims
		if parsed.Claims(v.Keys[i].Key, &claims) == nil {
			return &claims, nil
		}
	}
	return nil, errors.New("service account token is not signed by a known key")
}

func (v *Verifier) bound(ctx context.Context, claims *Claims, audiences []string) (*authn.Identity, error) {
	if err := claims.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, 0); err != nil {
		if errors.Is(err, jwt.ErrExpired) {
			return nil, errors.New("service account token has expired")
		}
		if lenient := claims.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, leeway); lenient != nil {
			return nil, fmt.Errorf("service account token is not valid yet: %w", lenient)
		}
	}
	b := claims.Kubernetes
	if b == nil {
		return nil, errors.New("service account token has no kubernetes.io claim")
	}
	if claims.Subject != UserName(b.Namespace, b.ServiceAccount.Name) {
		return nil, errors.New("service account token's subject is not its service account")
	}
	valid := intersect(claims.Audience, audiences)
	if len(valid) == 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", []string(claims.Audience), audiences)
	}
	if v.Lookup {
		if err := v.stillThere(ctx, b); err != nil {
			return nil, err
		}
	}
	return &authn.Identity{User: userOf(claims), Audiences: valid}, nil
}

// stillThere checks that the service account and what the token is bound to exist, with the same UIDs, and are not long gone.
func (v *Verifier) stillThere(ctx context.Context, b *Bound) error {
	account, err := v.Objects.ServiceAccount(ctx, b.Namespace, b.ServiceAccount.Name)
	if err := present("service account", b.Namespace+"/"+b.ServiceAccount.Name, b.ServiceAccount.UID, account, err); err != nil {
		return err
	}
	if b.Secret != nil {
		secret, err := v.Objects.Secret(ctx, b.Namespace, b.Secret.Name)
		if err := present("secret", b.Namespace+"/"+b.Secret.Name, b.Secret.UID, secret, err); err != nil {
			return err
		}
	}
	if b.Pod != nil {
		pod, err := v.Objects.Pod(ctx, b.Namespace, b.Pod.Name)
		if err := present("pod", b.Namespace+"/"+b.Pod.Name, b.Pod.UID, pod, err); err != nil {
			return err
		}
	}
	if b.Node != nil && b.Pod == nil { // a pod's node is informative only
		node, err := v.Objects.Node(ctx, b.Node.Name)
		if err := present("node", b.Node.Name, b.Node.UID, node, err); err != nil {
			return err
		}
	}
	return nil
}

func present(kind, name, uid string, obj metav1.Object, err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%s %s has been deleted", kind, name)
	}
	if err != nil {
		return fmt.Errorf("look up %s %s of a token: %w", kind, name, err)
	}
	if deleted := obj.GetDeletionTimestamp(); deleted != nil && deleted.Add(deletionGrace).Before(time.Now()) {
		return fmt.Errorf("%s %s has been deleted", kind, name)
	}
	if string(obj.GetUID()) != uid {
		return fmt.Errorf("%s %s: the token is for another one of that name (UID %s, now %s)", kind, name, uid, obj.GetUID())
	}
	return nil
}

// legacy verifies a token from a Secret: it is good as long as the Secret holds it.
func (v *Verifier) legacy(ctx context.Context, token string, claims *Claims, audiences []string) (*authn.Identity, error) {
	namespace, name := claims.LegacyNamespace, claims.LegacyName
	if claims.Subject != UserName(namespace, name) {
		return nil, errors.New("service account token's subject is not its service account")
	}
	own := v.Audiences
	if len(own) == 0 {
		own = v.Issuers
	}
	valid := intersect(own, audiences)
	if len(valid) == 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", own, audiences)
	}
	if v.Lookup {
		secret, err := v.Objects.Secret(ctx, namespace, claims.LegacySecretName)
		if err != nil || secret.DeletionTimestamp != nil || string(secret.Data[corev1.ServiceAccountTokenKey]) != token {
			return nil, errors.New("service account token has been invalidated: its secret is gone or holds another one")
		}
		if since := secret.Labels[invalidSince]; since != "" {
			return nil, fmt.Errorf("the token in secret %s/%s for service account %s/%s has been marked invalid since %s: ask for tokens by the TokenRequest API, or remove the label %s from the secret",
				namespace, secret.Name, namespace, name, since, invalidSince)
		}
		account, err := v.Objects.ServiceAccount(ctx, namespace, name)
		if err := present("service account", namespace+"/"+name, claims.LegacyUID, account, err); err != nil {
			return nil, err
		}
		v.uses.note(ctx, secret, v.MarkUsed)
	}
	user := resource.User{Name: claims.Subject, UID: claims.LegacyUID, Groups: Groups(namespace)}
	return &authn.Identity{User: user, Audiences: valid}, nil
}

func userOf(claims *Claims) resource.User {
	b := claims.Kubernetes
	user := resource.User{
		Name: claims.Subject, UID: b.ServiceAccount.UID, Groups: Groups(b.Namespace), Extra: map[string][]string{},
	}
	if claims.ID != "" {
		user.Extra["authentication.kubernetes.io/credential-id"] = []string{"JTI=" + claims.ID}
	}
	for _, bound := range []struct {
		kind string
		ref  *Ref
	}{{"pod", b.Pod}, {"node", b.Node}} {
		if bound.ref != nil {
			user.Extra["authentication.kubernetes.io/"+bound.kind+"-name"] = []string{bound.ref.Name}
			if bound.ref.UID != "" { // the node of a Pod may be unknown
				user.Extra["authentication.kubernetes.io/"+bound.kind+"-uid"] = []string{bound.ref.UID}
			}
		}
	}
	return user
}

func intersect(have, wanted []string) []string {
	var both []string
	for _, s := range have {
		if slices.Contains(wanted, s) {
			both = append(both, s)
		}
	}
	return both
}
