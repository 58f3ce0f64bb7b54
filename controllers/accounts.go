package controllers

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/client"
)

// tokenLife is the validity asked for; a token is renewed when a fifth of what was granted is left.
const tokenLife = time.Hour

// Accounts returns what Config.As wants: for each controller a Set that shares base's informers and works as a service
// account in kube-system, by tokens that base's identity requests. The account is made when it is first needed.
func Accounts(base *client.Set, userAgent string) func(account string) (*client.Set, error) {
	var mu sync.Mutex
	made := map[string]*client.Set{} // by account: a controller that is built again keeps its connections
	return func(account string) (*client.Set, error) {
		mu.Lock()
		defer mu.Unlock()
		if set := made[account]; set != nil {
			return set, nil
		}
		tokens := &accountTokens{client: base, account: account}
		config := rest.AnonymousClientConfig(base.Config)
		config.UserAgent = userAgent + " " + account
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &bearer{next: next, tokens: tokens} })
		set, err := base.As(config)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", account, err)
		}
		made[account] = set
		return set, nil
	}
}

// bearer adds an account's token to each request.
type bearer struct {
	next   http.RoundTripper
	tokens *accountTokens
}

// RoundTrip implements http.RoundTripper.
func (b *bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	token, err := b.tokens.get(request.Context())
	if err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := b.next.RoundTrip(request)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		b.tokens.drop(token) // the account may have been made anew; the caller's retry gets another token
	}
	return response, err
}

// accountTokens holds the current token of one account.
type accountTokens struct {
	client  kubernetes.Interface
	account string

	mu    sync.Mutex
	token string
	until time.Time // when to renew
}

func (a *accountTokens) get(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && time.Now().Before(a.until) {
		return a.token, nil
	}
	asked := time.Now()
	granted, err := a.request(ctx)
	if apierrors.IsNotFound(err) {
		if err = a.create(ctx); err == nil {
			granted, err = a.request(ctx)
		}
	}
	if err != nil {
		return "", fmt.Errorf("token of account %s: %w", a.account, err)
	}
	a.token = granted.Status.Token
	a.until = asked.Add(granted.Status.ExpirationTimestamp.Sub(asked) * 4 / 5)
	return a.token, nil
}

func (a *accountTokens) drop(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == token {
		a.token = ""
	}
}

func (a *accountTokens) request(ctx context.Context) (*authenticationv1.TokenRequest, error) {
	return a.client.CoreV1().ServiceAccounts(metav1.NamespaceSystem).CreateToken(ctx, a.account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(tokenLife / time.Second))},
	}, metav1.CreateOptions{})
}

func (a *accountTokens) create(ctx context.Context) error {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: a.account}}
	_, err := a.client.CoreV1().ServiceAccounts(metav1.NamespaceSystem).Create(ctx, account, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
