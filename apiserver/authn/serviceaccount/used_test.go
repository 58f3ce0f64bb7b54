package serviceaccount

import (
	"context"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
)

// The day of a token's use is written to its Secret, and not again on the same day.
func TestUseOfATokenIsNoted(t *testing.T) {
	t.Parallel()
	s := signer(t)
	token, err := s.Sign(&Claims{
		Claims:          jwt.Claims{Issuer: legacyIssuer, Subject: UserName("shop", "bot")},
		LegacyNamespace: "shop", LegacyName: "bot", LegacyUID: "bot-uid", LegacySecretName: "s",
	})
	if err != nil {
		t.Fatal(err)
	}
	there := cluster()
	secret := there["secret/s"].(*corev1.Secret)
	secret.Data["token"] = []byte(token)
	marks := make(chan string, 10)
	verifier := func() *Verifier {
		return &Verifier{
			Issuers: []string{issuer}, Audiences: []string{api}, Keys: []jose.JSONWebKey{s.Public()}, Objects: there, Lookup: true,
			MarkUsed: func(_ context.Context, secret *corev1.Secret, label, day string) {
				marks <- secret.Name + " " + label + " " + day
			},
		}
	}
	today := time.Now().UTC().Format(time.DateOnly)
	if _, err := verifier().Token(t.Context(), token, []string{api}); err != nil {
		t.Fatal(err)
	}
	if got, want := <-marks, "s kubernetes.io/legacy-token-last-used "+today; got != want && today == time.Now().UTC().Format(time.DateOnly) {
		t.Errorf("%q, want %q", got, want)
	}
	secret.Labels = map[string]string{lastUsed: "9999-12-31"}
	v := verifier()
	if _, err := v.Token(t.Context(), token, []string{api}); err != nil {
		t.Fatal(err)
	}
	if _, busy := v.uses.writing.Load(secret.UID); busy {
		t.Errorf("a use that is noted is noted again")
	}
}
