package authn

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestBootstrapTokens(t *testing.T) {
	t.Parallel()
	const id, secretPart = "abc123", "0123456789abcdef"
	for name, test := range map[string]struct {
		change func(*corev1.Secret)
		token  string
		groups string // "" is nobody
		fails  string
	}{
		"good":              {groups: "system:bootstrappers"},
		"further groups":    {change: set("auth-extra-groups", "system:bootstrappers:a, system:bootstrappers:b:c"), groups: "system:bootstrappers system:bootstrappers:a system:bootstrappers:b:c"},
		"a foreign group":   {change: set("auth-extra-groups", "system:masters"), fails: "system:masters"},
		"a good end":        {change: set("expiration", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)), groups: "system:bootstrappers"},
		"over":              {change: set("expiration", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))},
		"an unreadable end": {change: set("expiration", "tomorrow")},
		"for signing only":  {change: set("usage-bootstrap-authentication", "")},
		"another ID inside": {change: set("token-id", "xyz789")},
		"another type":      {change: func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }},
		"going":             {change: func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: time.Now()} }},
		"a wrong secret":    {token: id + ".fedcba9876543210"},
		"no such ID":        {token: "zzzzzz." + secretPart},
		"not the form":      {token: "ABC123." + secretPart},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret := &corev1.Secret{Type: corev1.SecretTypeBootstrapToken, Data: map[string][]byte{
				"token-id": []byte(id), "token-secret": []byte(secretPart), "usage-bootstrap-authentication": []byte("true"),
			}}
			if test.change != nil {
				test.change(secret)
			}
			if test.token == "" {
				test.token = id + "." + secretPart
			}
			tokens := &BootstrapTokens{Secret: func(_ context.Context, name string) (*corev1.Secret, error) {
				if name != "bootstrap-token-"+id {
					return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
				}
				return secret, nil
			}}
			identity, err := tokens.Token(t.Context(), test.token, nil)
			switch {
			case test.fails != "":
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("got %+v, %v; want an error with %q", identity, err, test.fails)
				}
			case err != nil:
				t.Error(err)
			case test.groups == "":
				if identity != nil {
					t.Errorf("got %+v, want nobody", identity)
				}
			case identity == nil || identity.User.Name != "system:bootstrap:"+id || !slices.Equal(identity.User.Groups, strings.Fields(test.groups)):
				t.Errorf("got %+v, want groups %s", identity, test.groups)
			}
		})
	}
}

func set(key, value string) func(*corev1.Secret) {
	return func(s *corev1.Secret) { s.Data[key] = []byte(value) }
}
