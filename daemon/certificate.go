package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"
)

// recheck is how long a certificate is used before its files are looked at again: a stat, not a read.
const recheck = 10 * time.Second

// Certificate is a key pair in two files that is read again when either changes, so that rotation needs no restart.
// A pair that cannot be read leaves the one before in use.
type Certificate struct {
	CertFile, KeyFile string

	mu      sync.Mutex
	current *tls.Certificate
	stamp   fileStamp
	checked time.Time
}

// GetCertificate is for tls.Config.GetCertificate.
func (c *Certificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.Get() }

// GetClientCertificate is for tls.Config.GetClientCertificate.
func (c *Certificate) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return c.Get()
}

// Get returns the newest readable pair; an error only if there never was one.
func (c *Certificate) Get() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && time.Since(c.checked) < recheck {
		return c.current, nil
	}
	c.checked = time.Now()
	stamp := stampOf(c.CertFile, c.KeyFile)
	if c.current != nil && stamp == c.stamp {
		return c.current, nil
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		if c.current != nil {
			return c.current, nil
		}
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.CertFile, c.KeyFile, err)
	}
	c.current, c.stamp = &pair, stamp
	return c.current, nil
}

// Authorities is a bundle of CA certificates in a file that is read again when it changes.
type Authorities struct {
	File string

	mu      sync.Mutex
	pool    *x509.CertPool
	stamp   fileStamp
	checked time.Time
}

// Pool returns the newest readable bundle; an error only if there never was one.
func (a *Authorities) Pool() (*x509.CertPool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pool != nil && time.Since(a.checked) < recheck {
		return a.pool, nil
	}
	a.checked = time.Now()
	stamp := stampOf(a.File)
	if a.pool != nil && stamp == a.stamp {
		return a.pool, nil
	}
	pem, err := os.ReadFile(a.File)
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(pem) {
		err = fmt.Errorf("no certificate in it")
	}
	if err != nil {
		if a.pool != nil {
			return a.pool, nil
		}
		return nil, fmt.Errorf("CA bundle %s: %w", a.File, err)
	}
	a.pool, a.stamp = pool, stamp
	return pool, nil
}

// fileStamp tells whether files have changed since they were read: the newest change and the sum of sizes.
type fileStamp struct {
	changed time.Time
	size    int64
}

func stampOf(files ...string) fileStamp {
	var stamp fileStamp
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			continue
		}
		if info.ModTime().After(stamp.changed) {
			stamp.changed = info.ModTime()
		}
		stamp.size += info.Size()
	}
	return stamp
}
