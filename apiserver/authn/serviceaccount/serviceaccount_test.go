package serviceaccount

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/pki"
)

const issuer, api, other = "https://issuer.example", "https://api.example", "vault"

// objects are the API's, by "kind/name".
type objects map[string]metav1.Object

func find[T metav1.Object](o objects, kind, name string) (T, error) {
	if obj, ok := o[kind+"/"+name].(T); ok {
		return obj, nil
	}
	var none T
	return none, apierrors.NewNotFound(schema.GroupResource{Resource: kind}, name)
}

func (o objects) ServiceAccount(_ context.Context, _, name string) (*corev1.ServiceAccount, error) {
	return find[*corev1.ServiceAccount](o, "account", name)
}
func (o objects) Pod(_ context.Context, _, name string) (*corev1.Pod, error) {
	return find[*corev1.Pod](o, "pod", name)
}
func (o objects) Secret(_ context.Context, _, name string) (*corev1.Secret, error) {
	return find[*corev1.Secret](o, "secret", name)
}
func (o objects) Node(_ context.Context, name string) (*corev1.Node, error) {
	return find[*corev1.Node](o, "node", name)
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: types.UID(name + "-uid")}
}

func cluster() objects {
	return objects{
		"account/bot": &corev1.ServiceAccount{ObjectMeta: meta("bot")}, "pod/web": &corev1.Pod{ObjectMeta: meta("web")},
		"secret/s": &corev1.Secret{ObjectMeta: meta("s"), Data: map[string][]byte{}}, "node/a": &corev1.Node{ObjectMeta: meta("a")},
	}
}

func signer(t *testing.T) *Signer {
	t.Helper()
	dir := t.TempDir()
	private, public := filepath.Join(dir, "sa.key"), filepath.Join(dir, "sa.pub")
	if err := pki.EnsureSigningKey(private, public); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := LoadPublicKeys([]string{public})
	if err != nil || len(keys) != 1 || keys[0].KeyID != s.Public().KeyID {
		t.Fatalf("the public key has another ID than the private one: %v, %v", keys, err)
	}
	return s
}

func ref(name string) *Ref { return &Ref{Name: name, UID: name + "-uid"} }

func claims(change func(*Claims)) *Claims {
	now := time.Now()
	c := &Claims{
		Claims: jwt.Claims{
			ID: "1", Subject: UserName("shop", "bot"), Audience: jwt.Audience{api, other},
			NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour)),
		},
		Kubernetes: &Bound{Namespace: "shop", ServiceAccount: *ref("bot")},
	}
	if change != nil {
		change(c)
	}
	return c
}

func TestBoundTokens(t *testing.T) {
	t.Parallel()
	s := signer(t)
	stranger := signer(t)
	long := metav1.NewTime(time.Now().Add(-2 * deletionGrace))
	just := metav1.NewTime(time.Now())
	for name, test := range map[string]struct {
		claims    func(*Claims)
		objects   func(objects)
		signer    *Signer
		audiences []string
		fails     string
		nobody    bool
	}{
		"good":                   {},
		"for another audience":   {audiences: []string{other}},
		"for nobody here":        {audiences: []string{"bank"}, fails: "invalid for the target audiences"},
		"over":                   {claims: func(c *Claims) { c.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Second)) }, fails: "expired"},
		"not yet":                {claims: func(c *Claims) { c.NotBefore = jwt.NewNumericDate(time.Now().Add(time.Hour)) }, fails: "not valid yet"},
		"by a clock ahead":       {claims: func(c *Claims) { c.NotBefore = jwt.NewNumericDate(time.Now().Add(leeway / 2)) }},
		"by another key":         {signer: stranger, fails: "known key"},
		"by another issuer":      {claims: func(c *Claims) { c.Issuer = "https://else.example" }, nobody: true},
		"without what it is for": {claims: func(c *Claims) { c.Kubernetes = nil }, fails: "kubernetes.io claim"},
		"another's subject":      {claims: func(c *Claims) { c.Subject = UserName("kube-system", "root") }, fails: "subject"},
		"account gone":           {objects: func(o objects) { delete(o, "account/bot") }, fails: "service account shop/bot has been deleted"},
		"account made anew":      {objects: func(o objects) { o["account/bot"].SetUID("new") }, fails: "another one of that name"},
		"account just going":     {objects: func(o objects) { o["account/bot"].SetDeletionTimestamp(&just) }},
		"account long going":     {objects: func(o objects) { o["account/bot"].SetDeletionTimestamp(&long) }, fails: "deleted"},
		"with a Pod":             {claims: func(c *Claims) { c.Kubernetes.Pod = ref("web") }},
		"Pod gone":               {claims: func(c *Claims) { c.Kubernetes.Pod = ref("gone") }, fails: "pod shop/gone has been deleted"},
		"Secret gone":            {claims: func(c *Claims) { c.Kubernetes.Secret = ref("gone") }, fails: "secret shop/gone has been deleted"},
		"node gone":              {claims: func(c *Claims) { c.Kubernetes.Node = ref("gone") }, fails: "node gone has been deleted"},
		"Pod's node gone":        {claims: func(c *Claims) { c.Kubernetes.Pod, c.Kubernetes.Node = ref("web"), ref("gone") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.signer == nil {
				test.signer = s
			}
			if test.audiences == nil {
				test.audiences = []string{api}
			}
			there := cluster()
			if test.objects != nil {
				test.objects(there)
			}
			token, err := test.signer.Sign(claims(test.claims))
			if err != nil {
				t.Fatal(err)
			}
			v := &Verifier{Issuers: []string{issuer}, Audiences: []string{api}, Keys: []jose.JSONWebKey{s.Public()}, Objects: there, Lookup: true}
			identity, err := v.Token(t.Context(), token, test.audiences)
			switch {
			case test.fails != "":
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("got %+v, %v; want an error with %q", identity, err, test.fails)
				}
			case test.nobody:
				if identity != nil || err != nil {
					t.Errorf("got %+v, %v; want no opinion", identity, err)
				}
			case err != nil:
				t.Error(err)
			case identity.User.Name != "system:serviceaccount:shop:bot" || identity.User.UID != "bot-uid" ||
				!slices.Equal(identity.User.Groups, []string{"system:serviceaccounts", "system:serviceaccounts:shop"}):
				t.Errorf("got %+v", identity.User)
			case !slices.Equal(identity.Audiences, test.audiences):
				t.Errorf("audiences %q, want %q", identity.Audiences, test.audiences)
			}
		})
	}
}

func TestTokensTellWhereTheyAreUsed(t *testing.T) {
	t.Parallel()
	user := userOf(claims(func(c *Claims) { c.Kubernetes.Pod, c.Kubernetes.Node = ref("web"), &Ref{Name: "a"} }))
	want := map[string]string{"credential-id": "JTI=1", "pod-name": "web", "pod-uid": "web-uid", "node-name": "a"}
	for key, value := range want {
		if got := user.Extra["authentication.kubernetes.io/"+key]; !slices.Equal(got, []string{value}) {
			t.Errorf("%s: %q, want %q", key, got, value)
		}
	}
	if len(user.Extra) != len(want) {
		t.Errorf("extra %v; the UID of a node that is not known must be left out", user.Extra)
	}
}

func TestTokensOfSecrets(t *testing.T) {
	t.Parallel()
	s := signer(t)
	token, err := s.Sign(&Claims{
		Claims:          jwt.Claims{Issuer: legacyIssuer, Subject: UserName("shop", "bot")},
		LegacyNamespace: "shop", LegacyName: "bot", LegacyUID: "bot-uid", LegacySecretName: "s",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		objects   func(objects)
		audiences []string
		fails     string
	}{
		"good":                {audiences: []string{api, other}},
		"for others":          {audiences: []string{other}, fails: "invalid for the target audiences"},
		"secret gone":         {objects: func(o objects) { delete(o, "secret/s") }, fails: "invalidated"},
		"secret has another":  {objects: func(o objects) { o["secret/s"].(*corev1.Secret).Data["token"] = []byte("x") }, fails: "invalidated"},
		"marked as not used":  {objects: func(o objects) { o["secret/s"].SetLabels(map[string]string{invalidSince: "2030-01-01"}) }, fails: "marked invalid since 2030-01-01"},
		"account gone":        {objects: func(o objects) { delete(o, "account/bot") }, fails: "deleted"},
		"account is made new": {objects: func(o objects) { o["account/bot"].SetUID("new") }, fails: "another one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			there := cluster()
			there["secret/s"].(*corev1.Secret).Data["token"] = []byte(token)
			if test.objects != nil {
				test.objects(there)
			}
			if test.audiences == nil {
				test.audiences = []string{api}
			}
			v := &Verifier{Issuers: []string{issuer}, Audiences: []string{api}, Keys: []jose.JSONWebKey{s.Public()}, Objects: there, Lookup: true}
			identity, err := v.Token(t.Context(), token, test.audiences)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("got %+v, %v; want an error with %q", identity, err, test.fails)
				}
				return
			}
			if err != nil || identity.User.Name != UserName("shop", "bot") || !slices.Equal(identity.Audiences, []string{api}) {
				t.Errorf("got %+v, %v", identity, err)
			}
		})
	}
}

func TestNamesOfUsers(t *testing.T) {
	t.Parallel()
	for user, want := range map[string]string{
		"system:serviceaccount:shop:bot": "shop/bot", "system:serviceaccount:shop:": "", "system:serviceaccount::bot": "",
		"system:serviceaccount:a:b:c": "", "system:node:a": "", "system:serviceaccount:shop": "",
	} {
		namespace, name, ok := SplitUserName(user)
		if ok != (want != "") || ok && namespace+"/"+name != want {
			t.Errorf("%s: %s/%s, %v; want %q", user, namespace, name, ok, want)
		}
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	a, b := signer(t), signer(t)
	documents, err := NewDiscovery(issuer+"/", "", []jose.JSONWebKey{a.Public(), b.Public()})
	if err != nil {
		t.Fatal(err)
	}
	configuration, keys := httptest.NewRecorder(), httptest.NewRecorder()
	documents.ServeConfiguration(configuration, nil)
	documents.ServeKeys(keys, nil)
	var said struct {
		Issuer     string
		JWKS       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := json.Unmarshal(configuration.Body.Bytes(), &said); err != nil {
		t.Fatal(err)
	}
	if said.Issuer != issuer+"/" || said.JWKS != issuer+KeysPath || len(said.Algorithms) != 1 {
		t.Errorf("got %+v; every algorithm stands there once", said)
	}
	if kind := configuration.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("configuration as %s", kind)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(keys.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	// Whoever reads the documents can verify a token with them.
	token, err := a.Sign(claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	v := &Verifier{Issuers: []string{issuer}, Keys: set.Keys}
	if _, err := v.Token(t.Context(), token, []string{api}); err != nil {
		t.Error(err)
	}
	if kind := keys.Header().Get("Content-Type"); kind != "application/jwk-set+json" || strings.Contains(keys.Body.String(), `"d"`) {
		t.Errorf("keys as %s: %s", kind, keys.Body)
	}
}

func TestBadKeysAreNamed(t *testing.T) {
	t.Parallel()
	if _, err := NewSigner(issuer, []byte("nothing")); err == nil {
		t.Error("no key: no error")
	}
	file := filepath.Join(t.TempDir(), "sa.pub")
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPublicKeys([]string{file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want the file's name", err)
	}
}
