package authn

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/septet-io/septet/resource"
)

// X509 knows users by the subject of their client certificate: the common name is the user, organizations are the groups.
type X509 struct {
	// Roots returns the authorities that are trusted now.
	Roots func() (*x509.CertPool, error)

	mu sync.RWMutex
	// seen is guarded by mu: users by the raw certificate, so that a connection is verified once, not at each request.
	seen map[string]seenCertificate
}

type seenCertificate struct {
	user  *resource.User
	pool  *x509.CertPool
	until time.Time
}

const (
	seenLimit = 4096
	seenTime  = 10 * time.Minute
)

// uidAttribute is the subject attribute with a user's UID (KEP-4895 "UID in x509 certificates").
var uidAttribute = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2}

// Authenticate is request.Authenticator.
func (x *X509) Authenticate(r *http.Request) (*resource.User, bool, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	roots, err := x.Roots()
	if err != nil {
		return nil, false, err
	}
	chain := r.TLS.PeerCertificates
	key := string(chain[0].Raw)
	now := time.Now()
	x.mu.RLock()
	known, ok := x.seen[key]
	x.mu.RUnlock()
	if ok && known.pool == roots && now.Before(known.until) {
		expiration.Observe(chain[0].NotAfter.Sub(now).Seconds())
		return known.user, true, nil
	}
	if err := Verify(chain, roots); err != nil {
		return nil, false, err
	}
	user := userOf(chain[0])
	if user.Name == "" {
		return nil, false, nil
	}
	expiration.Observe(chain[0].NotAfter.Sub(now).Seconds())
	until := now.Add(seenTime)
	if chain[0].NotAfter.Before(until) {
		until = chain[0].NotAfter
	}
	x.mu.Lock()
	if x.seen == nil || len(x.seen) >= seenLimit {
		x.seen = map[string]seenCertificate{}
	}
	x.seen[key] = seenCertificate{user: user, pool: roots, until: until}
	x.mu.Unlock()
	return user, true, nil
}

// Verify checks a client's certificate chain against authorities.
func Verify(chain []*x509.Certificate, roots *x509.CertPool) error {
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, intermediate := range chain[1:] {
		options.Intermediates.AddCert(intermediate)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return fmt.Errorf("verifying certificate SN=%d failed: %w", chain[0].SerialNumber, err)
	}
	return nil
}

func userOf(certificate *x509.Certificate) *resource.User {
	fingerprint := sha256.Sum256(certificate.Raw)
	user := &resource.User{
		Name:   certificate.Subject.CommonName,
		Groups: certificate.Subject.Organization,
		Extra:  map[string][]string{credentialID: {"X509SHA256=" + hex.EncodeToString(fingerprint[:])}},
	}
	for _, attribute := range certificate.Subject.Names {
		if uid, ok := attribute.Value.(string); ok && attribute.Type.Equal(uidAttribute) {
			user.UID = uid
		}
	}
	return user
}
