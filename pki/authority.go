// Package pki makes and renews what a cluster trusts: certificate authorities, the certificates that they sign, keys
// for service account tokens, and kubeconfigs. Keys are ECDSA P-256; files with keys are 0600 and replaced atomically.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	// backdate forgives clocks that differ between machines.
	backdate = 5 * time.Minute
)

// Authority is a certificate authority with its key.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	// PEM is the certificate as clients are given it.
	PEM []byte
}

// LoadOrCreateAuthority reads an authority from two files, or makes it when neither exists. A file without the other,
// or a key that is not the certificate's, is an error that names the files: guessing would cut off every client.
func LoadOrCreateAuthority(certFile, keyFile, commonName string) (*Authority, error) {
	certPEM, certErr := os.ReadFile(certFile)
	keyPEM, keyErr := os.ReadFile(keyFile)
	switch {
	case errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist):
		return createAuthority(certFile, keyFile, commonName)
	case certErr != nil:
		return nil, fmt.Errorf("certificate authority: %w", certErr)
	case keyErr != nil:
		return nil, fmt.Errorf("certificate authority: %w", keyErr)
	}
	certs, err := cert.ParseCertsPEM(certPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", certFile, err)
	}
	parsed, err := keyutil.ParsePrivateKeyPEM(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("key of the certificate authority %s: %w", keyFile, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok || !samePublicKey(certs[0].PublicKey, key.Public()) {
		return nil, fmt.Errorf("%s is not the key of the certificate authority %s", keyFile, certFile)
	}
	return &Authority{Certificate: certs[0], Key: key, PEM: certPEM}, nil
}

func createAuthority(certFile, keyFile, commonName string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: commonName}, DNSNames: []string{commonName},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", commonName, err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der})
	if err := writeKey(keyFile, key); err != nil {
		return nil, err
	}
	if err := WriteFile(certFile, certPEM, 0o644); err != nil {
		return nil, err
	}
	return &Authority{Certificate: parsed, Key: key, PEM: certPEM}, nil
}

// Hash is the pin by which a joining node recognizes the authority: "sha256:" and the hash of its public key.
func (a *Authority) Hash() string {
	sum := sha256.Sum256(a.Certificate.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// PublicKeyHash returns the pin of the first certificate of a PEM bundle, in the form of Hash.
func PublicKeyHash(bundle []byte) (string, error) {
	certs, err := cert.ParseCertsPEM(bundle)
	if err != nil {
		return "", err
	}
	return (&Authority{Certificate: certs[0]}).Hash(), nil
}

func serial() *big.Int {
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		panic(err) // crypto/rand never fails on the systems we run on
	}
	raw[0] &= 0x7f // positive, as RFC 5280 wants
	return new(big.Int).SetBytes(raw[:])
}

func samePublicKey(a, b crypto.PublicKey) bool {
	known, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && known.Equal(b)
}

func writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: keyutil.ECPrivateKeyBlockType, Bytes: der}), 0o600)
}

// WriteFile replaces a file atomically, making its folder (0700) if needed.
func WriteFile(file string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone already when all went well
	if err := errors.Join(temp.Chmod(mode), writeAll(temp, data), temp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.Rename(temp.Name(), file)
}

func writeAll(file *os.File, data []byte) error {
	_, err := file.Write(data)
	return err
}
