package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/kubernetes"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/certificate"
	"k8s.io/client-go/util/certificate/csr"
	"k8s.io/client-go/util/keyutil"
)

// signingWait is how long a request may take to be approved and signed. Approval
// can need a person.
const signingWait = 15 * time.Minute

// request asks for a client certificate, waits for it and stores it with its key.
func request(ctx context.Context, client kubernetes.Interface, store certificate.Store, signer string, subject pkix.Name) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	asked, err := certutil.MakeCSR(key, &subject, nil, nil)
	if err != nil {
		return err
	}
	name, uid, err := csr.RequestCertificateWithContext(ctx, client, asked, "", signer, nil, usages(certificatesv1.UsageClientAuth)(key), key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, signingWait)
	defer cancel()
	signed, err := csr.WaitForCertificate(ctx, client, name, uid)
	if err != nil {
		return fmt.Errorf("certificate signing request %s: %w", name, err)
	}
	_, err = store.Update(signed, keyPEM)
	return err
}

// usages are those that the signers of nodes' certificates want: with keys that
// can encrypt, also that.
func usages(auth certificatesv1.KeyUsage) func(any) []certificatesv1.KeyUsage {
	return func(key any) []certificatesv1.KeyUsage {
		if _, ok := key.(*rsa.PrivateKey); ok {
			return []certificatesv1.KeyUsage{certificatesv1.UsageKeyEncipherment, certificatesv1.UsageDigitalSignature, auth}
		}
		return []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, auth}
	}
}

func certExpired(leaf *x509.Certificate) bool { return time.Now().After(leaf.NotAfter) }
