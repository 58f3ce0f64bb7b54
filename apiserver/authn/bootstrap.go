package authn

import (
	"context"
	"crypto/subtle"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/resource"
)

// BootstrapTokens are Secrets in kube-system with which new nodes join.
// https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
type BootstrapTokens struct {
	// Secret gets a Secret of kube-system by name.
	Secret func(ctx context.Context, name string) (*corev1.Secret, error)
}

var (
	bootstrapToken = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`)
	bootstrapGroup = regexp.MustCompile(`^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$`)
)

// Token is Tokens.
func (b *BootstrapTokens) Token(ctx context.Context, token string, _ []string) (*Identity, error) {
	parts := bootstrapToken.FindStringSubmatch(token)
	if parts == nil {
		return nil, nil
	}
	id, secretPart := parts[1], parts[2]
	secret, err := b.Secret(ctx, "bootstrap-token-"+id)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if secret.DeletionTimestamp != nil || secret.Type != corev1.SecretTypeBootstrapToken {
		return nil, nil
	}
	if subtle.ConstantTimeCompare(secret.Data["token-secret"], []byte(secretPart)) != 1 || string(secret.Data["token-id"]) != id {
		return nil, nil
	}
	if bootstrapExpired(secret, time.Now()) || string(secret.Data["usage-bootstrap-authentication"]) != "true" {
		return nil, nil
	}
	groups := []string{"system:bootstrappers"}
	for _, extra := range strings.Split(string(secret.Data["auth-extra-groups"]), ",") {
		if extra = strings.TrimSpace(extra); extra == "" {
			continue
		}
		if !bootstrapGroup.MatchString(extra) {
			return nil, fmt.Errorf("bootstrap token %s: auth-extra-groups has %q, which does not match %s", id, extra, bootstrapGroup)
		}
		groups = append(groups, extra)
	}
	return &Identity{User: resource.User{Name: "system:bootstrap:" + id, Groups: groups}}, nil
}

// bootstrapExpired says whether a token's time is over; an expiration that cannot be read counts as over.
func bootstrapExpired(secret *corev1.Secret, now time.Time) bool {
	expiration := string(secret.Data["expiration"])
	if expiration == "" {
		return false
	}
	end, err := time.Parse(time.RFC3339, expiration)
	return err != nil || !now.Before(end)
}
