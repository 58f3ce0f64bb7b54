package controllers

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/septet-io/septet/controllers/certificates"
	"github.com/septet-io/septet/daemon"
)

// authorities are those of the cluster's signers: each its own, or the one for all.
func (s *Signing) authorities() map[string]certificates.Authority {
	found := map[string]certificates.Authority{}
	for _, name := range signers {
		pair := s.Signers[name]
		if pair.CertFile == "" && len(s.Signers) == 0 {
			pair = KeyPair{s.CertFile, s.KeyFile}
		}
		if pair.CertFile == "" && s.CertFile != "" {
			pair = KeyPair{s.CertFile, s.KeyFile}
		}
		if pair.CertFile != "" {
			found[name] = fromFiles(pair)
		}
	}
	return found
}

// fromFiles reads an authority again whenever its files change.
func fromFiles(pair KeyPair) certificates.Authority {
	files := &daemon.Certificate{CertFile: pair.CertFile, KeyFile: pair.KeyFile}
	return func() (*x509.Certificate, crypto.Signer, error) {
		current, err := files.Get()
		if err != nil {
			return nil, nil, err
		}
		return leafAndKey(current)
	}
}

func leafAndKey(pair *tls.Certificate) (*x509.Certificate, crypto.Signer, error) {
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("a %T cannot sign", pair.PrivateKey)
	}
	if pair.Leaf != nil {
		return pair.Leaf, key, nil
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	return leaf, key, err
}

const year = 365 * 24 * time.Hour
