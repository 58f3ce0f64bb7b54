package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"k8s.io/client-go/util/cert"
)

// Leaf describes a certificate to be signed.
type Leaf struct {
	// CommonName is the user name of a client, Organizations its groups.
	CommonName    string
	Organizations []string
	// Hosts are the DNS names and IP addresses of a server.
	Hosts          []string
	Server, Client bool
	// Life is a year if zero.
	Life time.Duration
}

// Issue signs a new key pair.
func (a *Authority) Issue(leaf Leaf) (certPEM []byte, key *ecdsa.PrivateKey, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	certPEM, err = a.Sign(leaf, key.Public())
	return certPEM, key, err
}

// Sign signs a certificate for somebody's public key.
func (a *Authority) Sign(leaf Leaf, public crypto.PublicKey) ([]byte, error) {
	life := leaf.Life
	if life == 0 {
		life = leafLife
	}
	now := time.Now()
	end := now.Add(life)
	if end.After(a.Certificate.NotAfter) {
		end = a.Certificate.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: leaf.CommonName, Organization: leaf.Organizations},
		NotBefore:    now.Add(-backdate), NotAfter: end,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		BasicConstraintsValid: true,
	}
	if leaf.Server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if leaf.Client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, host := range leaf.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, public, a.Key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %q: %w", leaf.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der}), nil
}

// Ensure makes the pair in two files, or renews it when less than a third of its life is left, when the authority or the
// subject has changed, or when a host is missing. It reports whether it wrote.
func (a *Authority) Ensure(certFile, keyFile string, leaf Leaf) (renewed bool, err error) {
	if a.fits(certFile, keyFile, leaf) {
		return false, nil
	}
	certPEM, key, err := a.Issue(leaf)
	if err != nil {
		return false, err
	}
	// The key first: a crash between the two leaves a pair that does not match, which fits then refuses.
	if err := writeKey(keyFile, key); err != nil {
		return false, err
	}
	return true, WriteFile(certFile, certPEM, 0o644)
}

// TLS issues a pair for use in this process alone.
func (a *Authority) TLS(leaf Leaf) (tls.Certificate, error) {
	certPEM, key, err := a.Issue(leaf)
	if err != nil {
		return tls.Certificate{}, err
	}
	block, _ := pem.Decode(certPEM)
	return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, nil
}

func (a *Authority) fits(certFile, keyFile string, leaf Leaf) bool {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return false
	}
	have := pair.Leaf
	third := have.NotAfter.Sub(have.NotBefore) / 3
	if time.Until(have.NotAfter) < third || have.CheckSignatureFrom(a.Certificate) != nil {
		return false
	}
	if have.Subject.CommonName != leaf.CommonName || !sameSet(have.Subject.Organization, leaf.Organizations) {
		return false
	}
	for _, host := range leaf.Hosts {
		if have.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// EnsureSigningKey makes the private key in a file, and its public half in another, if the first is not there.
// It signs service account tokens.
func EnsureSigningKey(privateFile, publicFile string) error {
	if _, err := os.Stat(privateFile); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := WriteFile(publicFile, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644); err != nil {
		return err
	}
	return writeKey(privateFile, key)
}
