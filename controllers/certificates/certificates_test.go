package certificates

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
)

// ask returns a request of a user with the given contents.
func ask(t *testing.T, name, signer, user string, contents x509.CertificateRequest, usages ...certificatesv1.KeyUsage) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &contents, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: signer, Username: user, Usages: append(usages, certificatesv1.UsageDigitalSignature),
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		},
	}
}

// ofNode are the contents that a kubelet's request has, with names and addresses.
func ofNode(name string, names ...string) x509.CertificateRequest {
	contents := x509.CertificateRequest{Subject: pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + name}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			contents.IPAddresses = append(contents.IPAddresses, ip)
		} else {
			contents.DNSNames = append(contents.DNSNames, n)
		}
	}
	return contents
}

// authority makes a CA that ends at the given time.
func authority(t *testing.T, end time.Time) (Authority, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return func() (*x509.Certificate, crypto.Signer, error) { return certificate, key, nil }, pool
}

func approved(csr *certificatesv1.CertificateSigningRequest) *certificatesv1.CertificateSigningRequest {
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue})
	return csr
}

func TestWhatKubeletsMayAsk(t *testing.T) {
	t.Parallel()
	client, server := certificatesv1.UsageClientAuth, certificatesv1.UsageServerAuth
	stranger := ofNode("n")
	stranger.Subject.Organization = []string{"system:masters"}
	person := ofNode("n")
	person.Subject.CommonName = "jane"
	mail := ofNode("n", "n")
	mail.EmailAddresses = []string{"n@example.com"}
	for _, test := range []struct {
		name            string
		contents        x509.CertificateRequest
		usages          []certificatesv1.KeyUsage
		client, serving bool
	}{
		{"client", ofNode("n"), []certificatesv1.KeyUsage{client}, true, false},
		{"client of an old kubelet", ofNode("n"), []certificatesv1.KeyUsage{client, certificatesv1.UsageKeyEncipherment}, true, false},
		{"client with a name", ofNode("n", "n"), []certificatesv1.KeyUsage{client}, false, false},
		{"client that serves", ofNode("n"), []certificatesv1.KeyUsage{client, server}, false, false},
		{"client that signs", ofNode("n"), []certificatesv1.KeyUsage{client, certificatesv1.UsageCertSign}, false, false},
		{"not of the nodes' group", stranger, []certificatesv1.KeyUsage{client}, false, false},
		{"not named as a node", person, []certificatesv1.KeyUsage{client}, false, false},
		{"serving", ofNode("n", "n", "10.0.0.1"), []certificatesv1.KeyUsage{server}, false, true},
		{"serving nothing", ofNode("n"), []certificatesv1.KeyUsage{server}, false, false},
		{"serving mail", mail, []certificatesv1.KeyUsage{server}, false, false},
	} {
		csr := ask(t, "r", "", "", test.contents, test.usages...)
		request, err := parse(csr)
		if err != nil {
			t.Fatal(err)
		}
		if err := nodeClient(request, csr.Spec.Usages); (err == nil) != test.client {
			t.Errorf("%s, as a client: %v", test.name, err)
		}
		if err := nodeServing(request, csr.Spec.Usages); (err == nil) != test.serving {
			t.Errorf("%s, serving: %v", test.name, err)
		}
	}
}

func TestEnd(t *testing.T) {
	t.Parallel()
	born := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	condition := func(kind certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
		return []certificatesv1.CertificateSigningRequestCondition{{Type: kind, LastUpdateTime: metav1.NewTime(born.Add(time.Minute))}}
	}
	for _, test := range []struct {
		name        string
		conditions  []certificatesv1.CertificateSigningRequestCondition
		certificate string
		want        time.Duration
	}{
		{"nobody looked at it", nil, "", 24 * time.Hour},
		{"denied", condition(certificatesv1.CertificateDenied), "", time.Hour + time.Minute},
		{"failed", condition(certificatesv1.CertificateFailed), "", time.Hour + time.Minute},
		{"approved, not signed", condition(certificatesv1.CertificateApproved), "", 24 * time.Hour},
		{"signed", condition(certificatesv1.CertificateApproved), "not readable", time.Hour + time.Minute},
	} {
		csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(born)}}
		csr.Status.Conditions, csr.Status.Certificate = test.conditions, []byte(test.certificate)
		if got := End(csr).Sub(born); got != test.want {
			t.Errorf("%s: ends after %s, want %s", test.name, got, test.want)
		}
	}
}

// A kubelet whom RBAC lets ask is approved; whoever else asks waits for an administrator.
func TestApprove(t *testing.T) {
	t.Parallel()
	signer, usage := certificatesv1.KubeAPIServerClientKubeletSignerName, certificatesv1.UsageClientAuth
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}}}}
	serving := func(name, user string, names ...string) *certificatesv1.CertificateSigningRequest {
		return ask(t, name, certificatesv1.KubeletServingSignerName, user, ofNode("n", names...), certificatesv1.UsageServerAuth)
	}
	w := controltest.New(t, node,
		ask(t, "bootstrap", signer, "bootstrapper", ofNode("n"), usage),
		ask(t, "renewal", signer, "system:node:n", ofNode("n"), usage),
		ask(t, "stranger", signer, "jane", ofNode("n"), usage),
		serving("own", "system:node:n", "n", "10.0.0.1"), serving("others", "system:node:n", "10.0.0.2"), serving("theft", "system:node:m", "n"))
	w.Fake.PrependReactor("create", "subjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		review := action.(k8stesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		way := map[string]string{"bootstrapper": "nodeclient", "system:node:n": "selfnodeclient"}[review.Spec.User]
		review.Status.Allowed = way == review.Spec.ResourceAttributes.Subresource
		return true, review, nil
	})
	w.Run(w.Must(NewApprover(w.Set, 1, true)))
	want := map[string]string{
		"bootstrap": "Auto approving kubelet client certificate after SubjectAccessReview.",
		"renewal":   "Auto approving self kubelet client certificate after SubjectAccessReview.",
		"own":       "Auto approving kubelet serving certificate whose names and addresses are all the node's.",
	}
	w.Eventually(func() string {
		for name, message := range want {
			csr, err := w.CertificatesV1().CertificateSigningRequests().Get(context.Background(), name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if len(csr.Status.Conditions) != 1 || csr.Status.Conditions[0].Message != message || csr.Status.Conditions[0].Reason != "AutoApproved" {
				return name + " is not approved"
			}
		}
		return ""
	})
	for _, name := range []string{"stranger", "others", "theft"} {
		csr, err := w.CertificatesV1().CertificateSigningRequests().Get(context.Background(), name, metav1.GetOptions{})
		if err != nil || decided(csr) {
			t.Errorf("%s: %v, %v", name, csr.Status.Conditions, err)
		}
	}
}

// Approved requests are signed for as long as they ask and the authority lives; what a signer does not sign fails.
func TestSign(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	caEnd := time.Now().Add(48 * time.Hour)
	ca, pool := authority(t, caEnd)
	signer := certificatesv1.KubeAPIServerClientSignerName
	jane := x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane", Organization: []string{"dev"}}}
	short := approved(ask(t, "short", signer, "jane", jane, certificatesv1.UsageClientAuth))
	short.Spec.ExpirationSeconds = ptr.To[int32](3600)
	w := controltest.New(t, short,
		approved(ask(t, "long", signer, "jane", jane, certificatesv1.UsageClientAuth)),
		approved(ask(t, "server", signer, "jane", jane, certificatesv1.UsageServerAuth)),
		approved(ask(t, "elsewhere", "example.com/own", "jane", jane, certificatesv1.UsageClientAuth)),
		ask(t, "waiting", signer, "jane", jane, certificatesv1.UsageClientAuth))
	w.Run(w.Must(NewSigner(w.Set, 1, map[string]Authority{signer: ca}, 365*24*time.Hour)))
	get := func(name string) *certificatesv1.CertificateSigningRequest {
		t.Helper()
		csr, err := w.CertificatesV1().CertificateSigningRequests().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return csr
	}
	w.Eventually(func() string {
		if len(get("short").Status.Certificate) == 0 || len(get("long").Status.Certificate) == 0 || !conditionOf(get("server"), certificatesv1.CertificateFailed) {
			return "not all is signed or failed"
		}
		return ""
	})
	for name, latest := range map[string]time.Time{"short": time.Now().Add(time.Hour), "long": caEnd} {
		block, _ := pem.Decode(get(name).Status.Certificate)
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := certificate.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if certificate.Subject.CommonName != "jane" || !slices.Equal(certificate.Subject.Organization, []string{"dev"}) || certificate.IsCA {
			t.Errorf("%s is for %s, CA %t", name, certificate.Subject, certificate.IsCA)
		}
		if certificate.NotAfter.After(latest) {
			t.Errorf("%s is valid until %s, later than %s", name, certificate.NotAfter, latest)
		}
	}
	if failed := get("server").Status.Conditions[1]; failed.Reason != "SignerValidationFailure" {
		t.Errorf("failed with %v", failed)
	}
	for _, name := range []string{"elsewhere", "waiting"} {
		if csr := get(name); len(csr.Status.Certificate) > 0 || conditionOf(csr, certificatesv1.CertificateFailed) {
			t.Errorf("%s: %v", name, csr.Status)
		}
	}
}

// Old requests are removed, young ones stay.
func TestClean(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	old, young := ask(t, "old", "s", "u", ofNode("n")), ask(t, "young", "s", "u", ofNode("n"))
	old.CreationTimestamp, young.CreationTimestamp = metav1.NewTime(time.Now().Add(-25*time.Hour)), metav1.NewTime(time.Now())
	w := controltest.New(t, old, young)
	w.Run(w.Must(NewCleaner(w.Set)))
	w.Eventually(func() string {
		left, err := w.CertificatesV1().CertificateSigningRequests().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		if len(left.Items) != 1 || left.Items[0].Name != "young" {
			return "the old one is still there, or the young one is not"
		}
		return ""
	})
}
