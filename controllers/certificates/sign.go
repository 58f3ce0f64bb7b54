package certificates

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Authority is what a signer signs with. It is asked each time, so that its files may change.
type Authority func() (*x509.Certificate, crypto.Signer, error)

const (
	backdate = 5 * time.Minute
	// leastLife is the shortest that a requester may ask for.
	leastLife = 10 * time.Minute
)

type signer struct {
	client      *client.Set
	requests    cache.SharedIndexInformer
	authorities map[string]Authority
	longest     time.Duration
}

// NewSigner returns the controller that signs approved requests. authorities are by signer name; longest bounds the validity.
func NewSigner(set *client.Set, workers int, authorities map[string]Authority, longest time.Duration) (reconcile.Controller, error) {
	s := &signer{
		client: set, requests: set.Informers.Certificates().V1().CertificateSigningRequests().Informer(), authorities: authorities, longest: longest,
	}
	return reconcile.Controller{
		Name: "certificatesigningrequest-signing-controller", Queue: "csrsigning", Kind: "CertificateSigningRequest", Workers: workers,
		Watches:   []reconcile.Watch{{Informer: s.requests, Keys: reconcile.Of(s.unsigned)}},
		Reconcile: s.reconcile,
	}, nil
}

func (s *signer) unsigned(_, csr *certificatesv1.CertificateSigningRequest) []reconcile.Key {
	if csr == nil || !s.mine(csr) {
		return nil
	}
	return []reconcile.Key{{Name: csr.Name}}
}

func (s *signer) mine(csr *certificatesv1.CertificateSigningRequest) bool {
	return len(csr.Status.Certificate) == 0 && s.authorities[csr.Spec.SignerName] != nil && conditionOf(csr, certificatesv1.CertificateApproved) &&
		!conditionOf(csr, certificatesv1.CertificateDenied) && !conditionOf(csr, certificatesv1.CertificateFailed)
}

func (s *signer) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	csr, found := index.Get[*certificatesv1.CertificateSigningRequest](s.requests, "", key.Name)
	if !found || !s.mine(csr) {
		return reconcile.Result{}, nil
	}
	request, err := parse(csr)
	if err != nil {
		return reconcile.Result{}, s.fail(ctx, csr, fmt.Errorf("unable to parse csr %q: %w", csr.Name, err))
	}
	if err := permitted(csr.Spec.SignerName, request, csr.Spec.Usages); err != nil {
		return reconcile.Result{}, s.fail(ctx, csr, err)
	}
	signed, err := s.sign(csr, request)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("error auto signing csr: %w", err)
	}
	changed := csr.DeepCopy()
	changed.Status.Certificate = signed
	updated, err := s.client.CertificatesV1().CertificateSigningRequests().UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return reconcile.Result{}, err
	}
	reconcile.Note(ctx, journal.Record{Step: "sign", Kind: "CertificateSigningRequest", Name: csr.Name, UID: csr.UID, Made: updated.ResourceVersion, Note: "for " + csr.Spec.Username})
	return reconcile.Result{}, nil
}

// permitted checks what each signer promises of its certificates.
// https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers
func permitted(name string, request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch name {
	case certificatesv1.KubeletServingSignerName:
		return nodeServing(request, usages)
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		return nodeClient(request, usages)
	case certificatesv1.KubeAPIServerClientSignerName:
		return clientUsages(usages)
	}
	return nil
}

func (s *signer) fail(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, cause error) error {
	failed := csr.DeepCopy()
	failed.Status.Conditions = append(failed.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateFailed, Status: corev1.ConditionTrue, Reason: "SignerValidationFailure", Message: cause.Error(), LastUpdateTime: metav1.Now(),
	})
	_, err := s.client.CertificatesV1().CertificateSigningRequests().UpdateStatus(ctx, failed, metav1.UpdateOptions{})
	return err
}

func (s *signer) sign(csr *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest) ([]byte, error) {
	authority, key, err := s.authorities[csr.Spec.SignerName]()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	life := s.longest
	if wish := csr.Spec.ExpirationSeconds; wish != nil {
		life = min(life, max(time.Duration(*wish)*time.Second, leastLife))
	}
	now := time.Now()
	end := now.Add(life)
	if end.After(authority.NotAfter) {
		end = authority.NotAfter
	}
	usage, extended := usagesOf(csr.Spec.Usages)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: request.Subject, DNSNames: request.DNSNames, IPAddresses: request.IPAddresses,
		EmailAddresses: request.EmailAddresses, URIs: request.URIs, NotBefore: now.Add(-backdate), NotAfter: end,
		KeyUsage: usage, ExtKeyUsage: extended, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, request.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

var keyUsages = map[certificatesv1.KeyUsage]x509.KeyUsage{
	certificatesv1.UsageSigning: x509.KeyUsageDigitalSignature, certificatesv1.UsageDigitalSignature: x509.KeyUsageDigitalSignature,
	certificatesv1.UsageContentCommitment: x509.KeyUsageContentCommitment, certificatesv1.UsageKeyEncipherment: x509.KeyUsageKeyEncipherment,
	certificatesv1.UsageKeyAgreement: x509.KeyUsageKeyAgreement, certificatesv1.UsageDataEncipherment: x509.KeyUsageDataEncipherment,
	certificatesv1.UsageCertSign: x509.KeyUsageCertSign, certificatesv1.UsageCRLSign: x509.KeyUsageCRLSign,
	certificatesv1.UsageEncipherOnly: x509.KeyUsageEncipherOnly, certificatesv1.UsageDecipherOnly: x509.KeyUsageDecipherOnly,
}

var extendedUsages = map[certificatesv1.KeyUsage]x509.ExtKeyUsage{
	certificatesv1.UsageAny: x509.ExtKeyUsageAny, certificatesv1.UsageServerAuth: x509.ExtKeyUsageServerAuth,
	certificatesv1.UsageClientAuth: x509.ExtKeyUsageClientAuth, certificatesv1.UsageCodeSigning: x509.ExtKeyUsageCodeSigning,
	certificatesv1.UsageEmailProtection: x509.ExtKeyUsageEmailProtection, certificatesv1.UsageSMIME: x509.ExtKeyUsageEmailProtection,
	certificatesv1.UsageIPsecEndSystem: x509.ExtKeyUsageIPSECEndSystem, certificatesv1.UsageIPsecTunnel: x509.ExtKeyUsageIPSECTunnel,
	certificatesv1.UsageIPsecUser: x509.ExtKeyUsageIPSECUser, certificatesv1.UsageTimestamping: x509.ExtKeyUsageTimeStamping,
	certificatesv1.UsageOCSPSigning: x509.ExtKeyUsageOCSPSigning, certificatesv1.UsageMicrosoftSGC: x509.ExtKeyUsageMicrosoftServerGatedCrypto,
	certificatesv1.UsageNetscapeSGC: x509.ExtKeyUsageNetscapeServerGatedCrypto,
}

func usagesOf(usages []certificatesv1.KeyUsage) (x509.KeyUsage, []x509.ExtKeyUsage) {
	var usage x509.KeyUsage
	var extended []x509.ExtKeyUsage
	for _, u := range usages {
		usage |= keyUsages[u]
		if e, ok := extendedUsages[u]; ok {
			extended = append(extended, e)
		}
	}
	return usage, extended
}
