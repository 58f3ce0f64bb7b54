package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// reviewer is an API server that knows the token "good" and lets alice do what is listed ("get proxy").
func reviewer(allowed ...string) *fake.Clientset {
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		if review.Spec.Token == "good" {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "alice", Groups: []string{"devs"}}}
		}
		return true, review, nil
	})
	client.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		attributes := review.Spec.ResourceAttributes
		for _, one := range allowed {
			if review.Spec.User == "alice" && attributes.Name == "node" && one == attributes.Verb+" "+attributes.Subresource {
				review.Status.Allowed = true
			}
		}
		return true, review, nil
	})
	return client
}

func status(g *Guard, method, path, token string) (int, string) {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("User", UserFrom(r.Context()).Name)
	})).ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestWhoMayWhat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allowed, method, path, token string
		want                         int
	}{
		{"get proxy", "GET", "/pods", "", 401},
		{"get proxy", "GET", "/pods", "bad", 401},
		{"get proxy", "GET", "/pods", "good", 200}, // nodes/proxy will do
		{"get pods", "GET", "/pods", "good", 200},
		{"get pods", "GET", "/runningpods/", "good", 200},
		{"get pods", "GET", "/podsandmore", "good", 403},
		{"get configz", "GET", "/configz", "good", 200},
		{"get healthz", "GET", "/healthz/syncloop", "good", 200},
		{"get metrics", "GET", "/metrics/resource", "good", 200},
		{"get proxy", "GET", "/metrics", "good", 403}, // for these it will not
		{"get stats", "GET", "/stats/summary", "good", 200},
		{"get log", "GET", "/logs/x", "good", 200},
		{"get proxy", "POST", "/exec/ns/p/c", "good", 403},
		{"create proxy", "POST", "/exec/ns/p/c", "good", 200},
		{"get proxy", "GET", "/containerLogs/ns/p/c", "good", 200},
	} {
		g := New(Config{NodeName: "node", Reviews: reviewer(c.allowed)})
		if got, text := status(g, c.method, c.path, c.token); got != c.want {
			t.Errorf("%s %s with %q, allowed %q: %d %s, want %d", c.method, c.path, c.token, c.allowed, got, text, c.want)
		}
	}
	g := New(Config{NodeName: "node", Reviews: reviewer()})
	if _, text := status(g, "GET", "/pods", "good"); text != "Forbidden (user=alice, verb=get, resource=nodes, subresource(s)=[pods proxy])" {
		t.Errorf("refusal reads %q", text)
	}
	if got, text := status(New(Config{Anonymous: true, Reviews: reviewer()}), "GET", "/pods", ""); got != 403 || !strings.Contains(text, "system:anonymous") {
		t.Errorf("anonymous: %d %s", got, text)
	}
	if got, _ := status(New(Config{Anonymous: true, AlwaysAllow: true}), "GET", "/pods", ""); got != 200 {
		t.Errorf("always allow: %d", got)
	}
}

// Answers are remembered for their time: a busy client does not make the API server busy.
func TestAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	client := reviewer("get pods")
	g := New(Config{NodeName: "node", Reviews: client})
	for range 5 {
		if got, _ := status(g, "GET", "/pods", "good"); got != 200 {
			t.Fatal(got)
		}
	}
	if n := len(client.Actions()); n != 2 {
		t.Errorf("%d reviews for five requests", n)
	}
	brief := New(Config{NodeName: "node", Reviews: client, AllowTTL: time.Nanosecond, TokenTTL: time.Nanosecond})
	client.ClearActions()
	status(brief, "GET", "/pods", "good")
	status(brief, "GET", "/pods", "good")
	if n := len(client.Actions()); n != 4 {
		t.Errorf("%d reviews where answers count for no time", n)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	ca, caKey := certificate(t, "ca", nil, nil)
	alice, _ := certificate(t, "alice", ca, caKey)
	stranger, strangerKey := certificate(t, "other", nil, nil)
	mallory, _ := certificate(t, "alice", stranger, strangerKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	g := New(Config{NodeName: "node", Reviews: reviewer("get pods"), ClientCAs: func() (*x509.CertPool, error) { return pool, nil }})
	for _, c := range []struct {
		certificate *x509.Certificate
		want        int
	}{{alice, 200}, {mallory, 401}} {
		r := httptest.NewRequest("GET", "/pods", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.certificate}}
		w := httptest.NewRecorder()
		g.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s signed by %s: %d, want %d", c.certificate.Subject, c.certificate.Issuer, w.Code, c.want)
		}
	}
}

func certificate(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true, IsCA: parent == nil,
	}
	if parent == nil {
		parent, parentKey, template.ExtKeyUsage = template, key, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, key
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m := newMemory[int]()
	for i := range 3 * maxAnswers {
		m.put(string(rune(i)), i, time.Hour)
	}
	if len(m.answers) > maxAnswers {
		t.Errorf("%d answers kept", len(m.answers))
	}
}
