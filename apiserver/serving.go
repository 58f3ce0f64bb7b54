package apiserver

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

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
	return pair.GetCertificate, nil
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
