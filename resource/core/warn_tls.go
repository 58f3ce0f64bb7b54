package core

import "crypto/tls"

// tlsWarnings says whether a certificate and a key do not belong together: whoever mounts them will find out too late.
func tlsWarnings(certificate, key []byte) []string {
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return []string{err.Error()}
	}
	return nil
}
