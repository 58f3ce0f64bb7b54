package serviceaccount

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/client-go/util/keyutil"
)

// Signer signs tokens with one key.
type Signer struct {
	Issuer string
	signer jose.Signer
	public jose.JSONWebKey
}

// NewSigner returns a Signer for an RSA or ECDSA private key in PEM.
func NewSigner(issuer string, pemKey []byte) (*Signer, error) {
	parsed, err := keyutil.ParsePrivateKeyPEM(pemKey)
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("service account signing key: a %T cannot sign", parsed)
	}
	public, err := webKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(public.Algorithm),
		Key:       jose.JSONWebKey{Key: key, KeyID: public.KeyID},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	return &Signer{Issuer: issuer, signer: signer, public: public}, nil
}

// Sign returns the compact form of a token with the claims; the issuer is set if it is empty.
func (s *Signer) Sign(claims *Claims) (string, error) {
	if claims.Issuer == "" {
		claims.Issuer = s.Issuer
	}
	return jwt.Signed(s.signer).Claims(claims).Serialize()
}

// Public is the signing key's public half, as the key set shows it.
func (s *Signer) Public() jose.JSONWebKey { return s.public }

// LoadPublicKeys reads the public keys (or the public halves of private ones) from PEM files.
func LoadPublicKeys(files []string) ([]jose.JSONWebKey, error) {
	var keys []jose.JSONWebKey
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("service account key: %w", err)
		}
		parsed, err := keyutil.ParsePublicKeysPEM(data)
		if err != nil {
			return nil, fmt.Errorf("service account key %s: %w", file, err)
		}
		for _, public := range parsed {
			key, err := webKey(public)
			if err != nil {
				return nil, fmt.Errorf("service account key %s: %w", file, err)
			}
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// webKey names a public key by the hash of its DER form, as upstream does, so that key IDs agree.
func webKey(public crypto.PublicKey) (jose.JSONWebKey, error) {
	algorithm, err := algorithmOf(public)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	sum := sha256.Sum256(der)
	return jose.JSONWebKey{
		Key: public, KeyID: base64.RawURLEncoding.EncodeToString(sum[:]), Algorithm: string(algorithm), Use: "sig",
	}, nil
}

func algorithmOf(public crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return jose.RS256, nil
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		case elliptic.P521():
			return jose.ES512, nil
		}
		return "", fmt.Errorf("unsupported curve %s", key.Curve.Params().Name)
	}
	return "", fmt.Errorf("unsupported key type %T: must be RSA or ECDSA", public)
}
