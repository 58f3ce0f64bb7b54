// Package remote asks webhooks whether users may, by SubjectAccessReviews.
// https://kubernetes.io/docs/reference/access-authn-authz/webhook/
package remote

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/webhook"
	"github.com/septet-io/septet/resource"
)

// Authorizer asks one webhook: request.Authorizer. Its answers are kept for a time.
type Authorizer struct {
	name       string
	client     *webhook.Client
	version    string
	timeout    time.Duration
	onError    request.Decision
	conditions []*condition
	// allowed and refused are for how long answers are kept; zero: not at all.
	allowed, refused time.Duration

	mu sync.Mutex
	// known is guarded by mu: by the question as JSON.
	known map[string]answer
}

type answer struct {
	status authorizationv1.SubjectAccessReviewStatus
	until  time.Time
}

const (
	knownLimit = 8192
	// longestKept bounds the questions whose answers are kept: their length is up to clients.
	longestKept = 10000
)

// New returns an Authorizer of a webhook that Configuration.validate has found in order.
func New(name string, w *Webhook, backoff time.Duration) (*Authorizer, error) {
	client, err := webhook.Load(*w.ConnectionInfo.KubeConfigFile)
	if err != nil {
		return nil, err
	}
	client.Backoff = webhook.Backoff(backoff)
	a := &Authorizer{
		name: name, client: client, version: w.SubjectAccessReviewVersion, timeout: w.Timeout.Duration, onError: request.NoOpinion,
	}
	if w.FailurePolicy == failDeny {
		a.onError = request.Deny
	}
	if w.CacheAuthorizedRequests == nil || *w.CacheAuthorizedRequests {
		a.allowed = w.AuthorizedTTL.Duration
	}
	if w.CacheUnauthorizedRequests == nil || *w.CacheUnauthorizedRequests {
		a.refused = w.UnauthorizedTTL.Duration
	}
	for _, c := range w.MatchConditions {
		compiled, err := compile(c.Expression)
		if err != nil {
			return nil, err
		}
		a.conditions = append(a.conditions, compiled)
	}
	return a, nil
}

// Authorize is request.Authorizer.
func (a *Authorizer) Authorize(ctx context.Context, info *request.Info, user resource.User) (request.Decision, string, error) {
	spec := Question(info, user)
	concerned, err := matches(a.conditions, &spec)
	if err != nil {
		return a.onError, "", err
	}
	if !concerned {
		excluded.WithLabelValues(a.name).Inc()
		return request.NoOpinion, "", nil
	}
	status, err := a.status(ctx, spec)
	if err != nil {
		klog.FromContext(ctx).Error(err, "An authorization webhook could not be asked", "name", a.name)
		return a.onError, "", err
	}
	switch {
	case status.Allowed && status.Denied:
		return request.Deny, status.Reason, errors.New("webhook subject access review returned both allow and deny response")
	case status.Denied:
		return request.Deny, status.Reason, nil
	case status.Allowed:
		return request.Allow, status.Reason, nil
	}
	return request.NoOpinion, status.Reason, nil
}

// Rules is request.RuleLister: a webhook cannot list what it would allow.
func (a *Authorizer) Rules(context.Context, resource.User, string) ([]request.ResourceRule, []request.PathRule, bool, error) {
	return nil, nil, true, errors.New("webhook authorizer does not support user rule resolution")
}

// status is the webhook's answer, kept or fresh.
func (a *Authorizer) status(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error) {
	review := any(&authorizationv1.SubjectAccessReview{TypeMeta: a.kind(), Spec: spec})
	key, err := json.Marshal(spec)
	if err != nil {
		return authorizationv1.SubjectAccessReviewStatus{}, err
	}
	now := time.Now()
	a.mu.Lock()
	known, ok := a.known[string(key)]
	a.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.status, nil
	}
	if a.version == "v1beta1" {
		review = beta(a.kind(), spec)
	}
	said := &authorizationv1.SubjectAccessReview{}
	err = a.call(ctx, review, said)
	if err == nil && len(key) <= longestKept {
		a.keep(string(key), said.Status, now)
	}
	return said.Status, err
}

func (a *Authorizer) kind() metav1.TypeMeta {
	return metav1.TypeMeta{Kind: "SubjectAccessReview", APIVersion: "authorization.k8s.io/" + a.version}
}

func (a *Authorizer) call(ctx context.Context, review, said any) error {
	if a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	start := time.Now()
	err := a.client.Call(ctx, review, said)
	observe(ctx, a, err, time.Since(start))
	return err
}

func (a *Authorizer) keep(key string, status authorizationv1.SubjectAccessReviewStatus, now time.Time) {
	ttl := a.refused
	if status.Allowed {
		ttl = a.allowed
	}
	if ttl <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= knownLimit {
		a.known = map[string]answer{}
	}
	a.known[key] = answer{status, now.Add(ttl)}
}
