package auth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// authenticate returns who calls, nil if that cannot be told.
func (g *Guard) authenticate(r *http.Request) (*User, error) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && g.config.ClientCAs != nil {
		user, err := g.byCertificate(r.TLS.PeerCertificates)
		if err == nil {
			return user, nil
		}
		klog.FromContext(r.Context()).V(4).Info("Client certificate does not count", "err", err)
	}
	if token, ok := bearer(r); ok {
		if g.config.NoTokens || g.config.Reviews == nil {
			return nil, errors.New("bearer tokens are not accepted")
		}
		return g.byToken(r.Context(), token)
	}
	if g.config.Anonymous {
		return &User{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}, nil
	}
	return nil, nil
}

// byCertificate verifies a chain for client authentication: the common name is the user, the organizations are the groups.
func (g *Guard) byCertificate(chain []*x509.Certificate) (*User, error) {
	roots, err := g.config.ClientCAs()
	if err != nil {
		return nil, err
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, certificate := range chain[1:] {
		options.Intermediates.AddCert(certificate)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return nil, err
	}
	subject := chain[0].Subject
	if subject.CommonName == "" {
		return nil, errors.New("certificate without a common name")
	}
	return &User{Name: subject.CommonName, Groups: append(subject.Organization, "system:authenticated")}, nil
}

// bearer returns the token of the Authorization header.
func bearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if token = strings.TrimSpace(token); strings.EqualFold(scheme, "bearer") && token != "" {
		return token, true
	}
	return "", false
}

func (g *Guard) byToken(ctx context.Context, token string) (*User, error) {
	key := fmt.Sprintf("%x", sha256.Sum256([]byte(token))) // so that no memory image shows tokens that have long been used
	if user, ok := g.tokens.get(key); ok {
		return user, nil
	}
	review, err := g.config.Reviews.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		klog.FromContext(ctx).Error(err, "TokenReview failed")
		return nil, err
	}
	if !review.Status.Authenticated {
		g.tokens.put(key, nil, g.config.TokenTTL)
		return nil, nil
	}
	from := review.Status.User
	user := &User{Name: from.Username, UID: from.UID, Groups: from.Groups, Extra: map[string][]string{}}
	for name, values := range from.Extra {
		user.Extra[name] = values
	}
	g.tokens.put(key, user, g.config.TokenTTL)
	return user, nil
}
