package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/apiserver/authn"
)

// bearing is a client with a bearer token and nothing else.
func (s *Server) bearing(token string) *rest.Config {
	config := s.As("nobody")
	config.TLSClientConfig = rest.TLSClientConfig{CAData: s.CAData}
	config.BearerToken = token
	return config
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestOpenIDConnect starts a provider, lets one of its users in, and changes the configuration under the server.
func TestOpenIDConnect(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var provider *httptest.Server
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, document any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(document); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"issuer": provider.URL, "jwks_uri": provider.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	provider = httptest.NewTLSServer(mux)
	defer provider.Close()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": provider.URL, "aud": "cluster", "sub": "jane", "exp": time.Now().Add(time.Hour).Unix(), "roles": []string{"dev"}, "jti": "7",
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: provider.Certificate().Raw}))
	configuration := func(prefix string) string {
		return fmt.Sprintf(`
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous: {enabled: true, conditions: [{path: /livez}]}
jwt:
- issuer: {url: %q, audiences: [cluster], certificateAuthority: %q}
  claimMappings:
    username: {expression: %q}
    groups: {claim: roles, prefix: ""}
`, provider.URL, authority, "'"+prefix+"' + claims.sub")
	}
	file := write(t, "authentication.yaml", configuration("a:"))
	s := StartComplete(t, func(standard *apiserver.Standard) { standard.AuthenticationFile = file })

	whoami := func() *authenticationv1.UserInfo {
		review, err := s.Clients(s.bearing(token)).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			return nil
		}
		return &review.Status.UserInfo
	}
	user := until(t, whoami, func(u *authenticationv1.UserInfo) bool { return u != nil }) // the provider's keys are known
	if user.Username != "a:jane" || !slices.Contains(user.Groups, "dev") || user.Extra["authentication.kubernetes.io/credential-id"][0] != "JTI=7" {
		t.Errorf("got %+v", user)
	}
	for path, code := range map[string]int{"/livez": 200, "/version": 401} {
		r, err := s.httpClient().Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != code {
			t.Errorf("nobody at %s: %d, want %d", path, r.StatusCode, code)
		}
	}
	for _, text := range []string{"kind: Nonsense", configuration("b:")} {
		next := file + ".next"
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
	}
	until(t, whoami, func(u *authenticationv1.UserInfo) bool { return u != nil && u.Username == "b:jane" })
}

// TestWhereEverythingIsAllowedNobodyIsAnonymous: else anybody who reaches the port would be the cluster's master.
func TestWhereEverythingIsAllowedNobodyIsAnonymous(t *testing.T) {
	t.Parallel()
	s := StartComplete(t, func(standard *apiserver.Standard) { standard.Modes = []string{"AlwaysAllow"} })
	r, err := s.httpClient().Get(s.URL + "/version")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody: %d", r.StatusCode)
	}
	if _, err := s.Clients(s.As("jane")).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("somebody: %v", err)
	}
}

// until asks again until an answer is good; the test's own time bounds it.
func until[T any](t *testing.T, ask func() T, good func(T) bool) T {
	t.Helper()
	for {
		if answer := ask(); good(answer) {
			return answer
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the test's time is over")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// httpClient has no credentials.
func (s *Server) httpClient() *http.Client {
	client, err := rest.HTTPClientFor(&rest.Config{Host: s.URL, TLSClientConfig: rest.TLSClientConfig{CAData: s.CAData}})
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

func TestATokenWebhookKnowsUsers(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.APIVersion != "authentication.k8s.io/v1" || len(review.Spec.Audiences) != 1 {
			t.Errorf("asked %+v, %v", review, err)
		}
		asked.Add(1)
		review.Status = authenticationv1.TokenReviewStatus{Error: "who is that?"}
		if review.Spec.Token == "good" {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "jane", Groups: []string{"system:masters"}}}
		}
		if err := json.NewEncoder(w).Encode(&review); err != nil {
			t.Error(err)
		}
	}))
	defer hook.Close()
	audiences := []string{"https://kubernetes.default.svc"}
	tokens, err := authn.LoadWebhookTokens(kubeconfigTo(t, hook.URL), "v1", time.Hour, audiences)
	if err != nil {
		t.Fatal(err)
	}
	s := StartComplete(t, func(standard *apiserver.Standard) { standard.TokenWebhook = tokens })
	for range 2 {
		if _, err := s.Clients(s.bearing("good")).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Error(err)
		}
		if _, err := s.Clients(s.bearing("bad")).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
			t.Errorf("a bad token: %v", err)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times for two tokens", n)
	}
}

// TestAuthorizationWebhooks puts two before RBAC: one that is asked about secrets only, and one that cannot be reached.
func TestAuthorizationWebhooks(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		switch of := review.Spec.ResourceAttributes; {
		case of.Verb == "list" && of.LabelSelector != nil && of.LabelSelector.Requirements[0].Key == "public":
			review.Status = authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "public ones"}
		case of.Verb == "delete":
			review.Status = authorizationv1.SubjectAccessReviewStatus{Denied: true, Reason: "nobody deletes secrets"}
		}
		if err := json.NewEncoder(w).Encode(&review); err != nil {
			t.Error(err)
		}
	}))
	defer hook.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	configuration := func(policy string) string {
		return fmt.Sprintf(`
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: secrets
  webhook:
    timeout: 10s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %q}
    matchConditions:
    - {expression: "has(request.resourceAttributes)"}
    - {expression: "request.resourceAttributes.resource == 'secrets'"}
    - {expression: "!('system:masters' in request.groups)"}
- type: Webhook
  name: gone
  webhook:
    timeout: 1s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: %s
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %q}
    matchConditions: [{expression: "request.user == 'jane' && request.?resourceAttributes.resource.orValue('') == 'pods'"}]
- {type: Node, name: node}
- {type: RBAC, name: rbac}
`, kubeconfigTo(t, hook.URL), policy, kubeconfigTo(t, gone.URL))
	}
	file := write(t, "authorization.yaml", configuration("NoOpinion"))
	s := StartComplete(t, func(standard *apiserver.Standard) { standard.AuthorizationFile = file })
	jane := s.Clients(s.As("jane"))
	secrets := jane.CoreV1().Secrets("default")
	for range 2 {
		if _, err := secrets.List(t.Context(), metav1.ListOptions{LabelSelector: "public"}); err != nil {
			t.Error(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times about one thing", n)
	}
	if _, err := secrets.List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("all secrets: %v", err)
	}
	if err := secrets.Delete(t.Context(), "s", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "nobody deletes secrets") {
		t.Errorf("deletion: %v", err)
	}
	pods := func() error {
		_, err := jane.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
		return err
	}
	if err := pods(); !apierrors.IsInternalError(err) && !apierrors.IsForbidden(err) {
		t.Errorf("a webhook that is gone: %v", err)
	}
	review, err := s.Client().AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "jane", ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "delete", Resource: "secrets", Namespace: "default"},
	}}, metav1.CreateOptions{})
	if err != nil || !review.Status.Denied || review.Status.Reason != "nobody deletes secrets" {
		t.Errorf("a review: %+v, %v", review, err)
	}
	next := file + ".next"
	if err := os.WriteFile(next, []byte(configuration("Deny")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	until(t, pods, apierrors.IsInternalError) // the decision is Deny now, and says why
}

// TestConstrainedImpersonation (KEP-5284): who may act as somebody for one thing only.
func TestConstrainedImpersonation(t *testing.T) {
	t.Parallel()
	s := StartComplete(t)
	s.Do("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", `{"metadata":{"name":"as"},"rules":[
		{"apiGroups":["authentication.k8s.io"],"resources":["users"],"resourceNames":["bob"],"verbs":["impersonate:user-info"]},
		{"apiGroups":[""],"resources":["pods"],"verbs":["impersonate-on:user-info:list"]}]}`)
	s.Do("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", `{"metadata":{"name":"reader"},"rules":[{"apiGroups":[""],"resources":["pods","services"],"verbs":["list"]}]}`)
	for name, binding := range map[string]string{"as": "alice", "reader": "bob"} {
		s.Do("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", fmt.Sprintf(`{"metadata":{"name":%q},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%q},
			"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}]}`, name, name, binding))
	}
	config := s.As("alice")
	config.Impersonate.UserName = "bob"
	bob := s.Clients(config)
	list := func() error {
		_, err := bob.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
		return err
	}
	until(t, list, func(err error) bool { return err == nil }) // the bindings have come to the authorizer
	_, err := bob.CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err == nil || !strings.Contains(err.Error(), "impersonate-on:user-info:list") {
		t.Errorf("as bob, but not for that: %v", err)
	}
	config.Impersonate.UserName = "carol"
	if _, err := s.Clients(config).CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("as carol: %v", err)
	}
}
