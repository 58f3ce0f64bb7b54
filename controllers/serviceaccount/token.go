package serviceaccount

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/client-go/util/keyutil"
)

// legacyIssuer is the issuer of tokens in Secrets, which have no audience and no end.
const legacyIssuer = "kubernetes/serviceaccount"

// minter signs the tokens in Secrets of type kubernetes.io/service-account-token.
type minter struct{ signer jose.Signer }

// legacyClaims are what such a token says, beside issuer and subject.
type legacyClaims struct {
	Namespace  string `json:"kubernetes.io/serviceaccount/namespace"`
	SecretName string `json:"kubernetes.io/serviceaccount/secret.name"`
	Name       string `json:"kubernetes.io/serviceaccount/service-account.name"`
	UID        string `json:"kubernetes.io/serviceaccount/service-account.uid"`
}

// newMinter returns a minter for an RSA or ECDSA private key in PEM.
func newMinter(pemKey []byte) (*minter, error) {
	parsed, err := keyutil.ParsePrivateKeyPEM(bytes.TrimSpace(pemKey))
	if err != nil {
		return nil, fmt.Errorf("service account private key: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("service account private key: a %T cannot sign", parsed)
	}
	algorithm, err := algorithmOf(key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("service account private key: %w", err)
	}
	sum := sha256.Sum256(der) // the name under which API servers know the key
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: base64.RawURLEncoding.EncodeToString(sum[:])},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("service account private key: %w", err)
	}
	return &minter{signer: signer}, nil
}

// curves are the algorithms of ECDSA keys by the size of their curve in bits.
var curves = map[int]jose.SignatureAlgorithm{256: jose.ES256, 384: jose.ES384, 521: jose.ES512}

func algorithmOf(key crypto.Signer) (jose.SignatureAlgorithm, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return jose.RS256, nil
	case *ecdsa.PrivateKey:
		if algorithm, known := curves[key.Params().BitSize]; known {
			return algorithm, nil
		}
	}
	return "", fmt.Errorf("service account private key: must be RSA, or ECDSA on a NIST curve")
}

func (m *minter) mint(claims legacyClaims) (string, error) {
	return jwt.Signed(m.signer).
		Claims(jwt.Claims{Issuer: legacyIssuer, Subject: "system:serviceaccount:" + claims.Namespace + ":" + claims.Name}).
		Claims(claims).Serialize()
}
