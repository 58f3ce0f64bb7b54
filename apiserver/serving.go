package apiserver

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/pki"
)

// serving returns the serving certificate: the one that is given, the one that is in --cert-dir, or a new one there, signed by an
// authority of its own.
func (o *options) serving(address netip.Addr) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	certFile, keyFile := o.certFile, o.keyFile
	if (certFile == "") != (keyFile == "") {
		return nil, daemon.UsageError("--tls-cert-file and --tls-private-key-file: one needs the other")
	}
	if certFile == "" {
		certFile, keyFile = filepath.Join(o.certDir, "apiserver.crt"), filepath.Join(o.certDir, "apiserver.key")
		if err := o.ensureServing(certFile, keyFile, address); err != nil {
			return nil, fmt.Errorf("--cert-dir %s: %w", o.certDir, err)
		}
	}
	pair := &daemon.Certificate{CertFile: certFile, KeyFile: keyFile}
	if _, err := pair.Get(); err != nil {
		return nil, err
	}
	named, err := namedCertificates(o.sni)
	if err != nil || len(named) == 0 {
		return pair.GetCertificate, err
	}
	return withNamed(named, pair.GetCertificate), nil
}

type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// withNamed serves the certificate of the name that a client asks for, else the usual one.
func withNamed(named []*namedCertificate, otherwise getCertificate) getCertificate {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		for _, one := range named {
			if one.serves(hello.ServerName) {
				return one.Get()
			}
		}
		return otherwise(hello)
	}
}

// namedCertificate is a serving certificate for some of the server's names (SNI).
type namedCertificate struct {
	daemon.Certificate
	// names in lower case; "*.example.com" stands for one label. Empty: those that the certificate itself has.
	names []string
}

// namedCertificates reads --tls-sni-cert-key: "cert,key", or "cert,key:name,name".
func namedCertificates(flags []string) ([]*namedCertificate, error) {
	var all []*namedCertificate
	for _, text := range flags {
		files, names, _ := strings.Cut(text, ":")
		cert, key, ok := strings.Cut(files, ",")
		if !ok || cert == "" || key == "" || strings.Contains(key, ",") {
			return nil, daemon.UsageError("--tls-sni-cert-key: %q is not a certificate's and a key's file, with a comma between them, and perhaps names behind a colon", text)
		}
		made := &namedCertificate{Certificate: daemon.Certificate{CertFile: cert, KeyFile: key}}
		if _, err := made.Get(); err != nil {
			return nil, fmt.Errorf("--tls-sni-cert-key: %w", err)
		}
		for _, name := range strings.Split(names, ",") {
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
				made.names = append(made.names, name)
			}
		}
		all = append(all, made)
	}
	return all, nil
}

// serves says whether a client that asks for this name gets the certificate.
func (c *namedCertificate) serves(server string) bool {
	if server == "" {
		return false
	}
	if len(c.names) == 0 {
		pair, err := c.Get()
		return err == nil && pair.Leaf != nil && pair.Leaf.VerifyHostname(server) == nil
	}
	server = strings.ToLower(server)
	_, parent, _ := strings.Cut(server, ".")
	return slices.Contains(c.names, server) || slices.Contains(c.names, "*."+parent)
}

// ensureServing makes a serving certificate where none is.
func (o *options) ensureServing(certFile, keyFile string, address netip.Addr) error {
	if exists(certFile) && exists(keyFile) {
		return nil
	}
	if err := os.MkdirAll(o.certDir, 0o755); err != nil {
		return err
	}
	authority, err := pki.LoadOrCreateAuthority(filepath.Join(o.certDir, "apiserver-ca.crt"), filepath.Join(o.certDir, "apiserver-ca.key"), "kube-apiserver")
	if err != nil {
		return err
	}
	hosts := []string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		net.IPv4(127, 0, 0, 1).String(), address.String(),
	}
	if ranges, err := serviceRanges(o.serviceRange); err == nil {
		for _, r := range ranges {
			hosts = append(hosts, r.Addr().Next().String())
		}
	}
	_, err = authority.Ensure(certFile, keyFile, pki.Leaf{CommonName: "kube-apiserver", Hosts: hosts, Server: true})
	return err
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
