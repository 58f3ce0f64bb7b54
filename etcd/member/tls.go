package member

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/tlsutil"
	"go.etcd.io/etcd/client/pkg/v3/transport"
)

// versions are the TLS versions in numbers.
func (s *Settings) versions() (least, most uint16, err error) {
	if least, err = tlsutil.GetTLSVersion(s.MinVersion); err != nil {
		return 0, 0, fmt.Errorf("--tls-min-version: %w", err)
	}
	if most, err = tlsutil.GetTLSVersion(s.MaxVersion); err != nil {
		return 0, 0, fmt.Errorf("--tls-max-version: %w", err)
	}
	if most != 0 && least > most {
		return 0, 0, fmt.Errorf("--tls-min-version %s is above --tls-max-version %s", s.MinVersion, s.MaxVersion)
	}
	if least == tls.VersionTLS13 && len(s.CipherSuites) > 0 {
		return 0, 0, errors.New("--cipher-suites have no effect on TLS 1.3, which --tls-min-version asks for")
	}
	return least, most, nil
}

// prepareTLS completes what both kinds of listeners use.
func (s *Settings) prepareTLS() error {
	clients := append(hosts(s.ListenClient), hosts(s.ListenHTTP)...)
	if err := s.certify(&s.ClientTLS, s.AutoClientTLS, "client", clients); err != nil {
		return fmt.Errorf("TLS for clients: %w", err)
	}
	if err := s.certify(&s.PeerTLSInfo, s.AutoPeerTLS, "peer", hosts(s.ListenPeer)); err != nil {
		return fmt.Errorf("TLS for peers: %w", err)
	}
	s.ClientTLS.HandshakeFailure = refused(s.Logger, "client")
	s.PeerTLSInfo.HandshakeFailure = refused(s.Logger, "peer")
	s.ClientCertAuthEnabled = s.ClientTLS.ClientCertAuth
	return nil
}

// certify makes a certificate for the hosts if none is given and one is asked for, and sets versions and suites.
func (s *Settings) certify(info *transport.TLSInfo, auto bool, kind string, hosts []string) (err error) {
	if auto && info.Empty() {
		if *info, err = transport.SelfCert(s.Logger, filepath.Join(s.DataDir, "fixtures", kind), hosts, s.CertYears); err != nil {
			return err
		}
	}
	if len(s.CipherSuites) > 0 {
		if info.CipherSuites, err = tlsutil.GetCipherSuites(s.CipherSuites); err != nil {
			return err
		}
	}
	info.MinVersion, info.MaxVersion, err = s.versions()
	return err
}

func hosts(urls []url.URL) (all []string) {
	for _, u := range urls {
		all = append(all, u.Host)
	}
	return all
}
