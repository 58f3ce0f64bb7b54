package volume

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/kubelet/volume/payload"
)

// tokenKey says which token of a Pod's account is meant; sources that ask for the same share one.
type tokenKey struct {
	audience   string
	expiration int64
}

// token is one that was issued, and when to ask for the next.
type token struct {
	mu      sync.Mutex
	value   []byte
	renew   time.Time
	expires time.Time
}

const (
	defaultTokenLife = 3600
	// oldestToken bounds a token's age however long it would be valid.
	oldestToken = 24 * time.Hour
	// tokenRetry is when to ask again after a renewal that failed.
	tokenRetry = time.Minute
)

func (v *Volumes) fromToken(ctx context.Context, p *podVolumes, source *corev1.ServiceAccountTokenProjection, base int32) (payload.Payload, error) {
	value, err := v.token(ctx, p, source)
	if err != nil {
		return nil, err
	}
	file := payload.File{Data: value, Mode: base}
	// Somebody in particular is to read it: then nobody else shall.
	if file.User = onlyUser(p.pod); file.User != nil || fsGroup(p.pod) != nil {
		file.Mode = 0o600
	}
	return payload.Payload{source.Path: file}, nil
}

// token returns a valid token, a new one when four fifths of the old one's life are over. When no new one can be
// had, the old one serves until it ends.
func (v *Volumes) token(ctx context.Context, p *podVolumes, source *corev1.ServiceAccountTokenProjection) ([]byte, error) {
	key := tokenKey{audience: source.Audience, expiration: defaultTokenLife}
	if source.ExpirationSeconds != nil {
		key.expiration = *source.ExpirationSeconds
	}
	t := p.tokenOf(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.value != nil && now.Before(t.renew) {
		return t.value, nil
	}
	issued, err := v.issue(ctx, p.pod, key)
	if err != nil {
		if t.value != nil && now.Before(t.expires) {
			t.renew = now.Add(tokenRetry)
			return t.value, nil
		}
		return nil, err
	}
	life := issued.Status.ExpirationTimestamp.Sub(now)
	t.value, t.expires = []byte(issued.Status.Token), issued.Status.ExpirationTimestamp.Time
	// Spread, so that Pods started together do not all come back together.
	t.renew = now.Add(min(life*4/5, oldestToken) - rand.N(max(life/50, 1)))
	return t.value, nil
}

func (p *podVolumes) tokenOf(key tokenKey) *token {
	p.tokenMu.Lock()
	defer p.tokenMu.Unlock()
	t := p.tokens[key]
	if t == nil {
		t = &token{}
		p.tokens[key] = t
	}
	return t
}

// nextRenewal is the time of the earliest renewal of any of the Pod's tokens; zero if it has none.
func (p *podVolumes) nextRenewal() time.Time {
	p.tokenMu.Lock()
	defer p.tokenMu.Unlock()
	var next time.Time
	for _, t := range p.tokens {
		t.mu.Lock()
		if t.value != nil && (next.IsZero() || t.renew.Before(next)) {
			next = t.renew
		}
		t.mu.Unlock()
	}
	return next
}

func (v *Volumes) issue(ctx context.Context, pod *corev1.Pod, key tokenKey) (*authenticationv1.TokenRequest, error) {
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	request := &authenticationv1.TokenRequest{
		ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: pod.Namespace},
		Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: &key.expiration,
			BoundObjectRef: &authenticationv1.BoundObjectReference{
				APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
			},
		},
	}
	if key.audience != "" {
		request.Spec.Audiences = []string{key.audience}
	}
	return v.config.Token(ctx, pod.Namespace, account, request)
}

// onlyUser is the user that all of the Pod's containers run as, if its spec says so and they agree; nil otherwise.
func onlyUser(pod *corev1.Pod) *int64 {
	var user *int64
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			as := runAs(pod, &list[i])
			if as == nil || user != nil && *user != *as {
				return nil
			}
			user = as
		}
	}
	return user
}

func runAs(pod *corev1.Pod, container *corev1.Container) *int64 {
	if container.SecurityContext != nil && container.SecurityContext.RunAsUser != nil {
		return container.SecurityContext.RunAsUser
	}
	if pod.Spec.SecurityContext != nil {
		return pod.Spec.SecurityContext.RunAsUser
	}
	return nil
}
