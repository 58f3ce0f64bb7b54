package apiserver

import (
	"crypto/tls"
	"log"
	"strings"

	"k8s.io/klog/v2"
)

// tls asks for client certificates but does not check them: that is authentication's task, which also takes tokens.
func (s *Server) tls() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.config.TLS != nil {
		config = s.config.TLS.Clone()
	}
	config.DynamicRecordSizingDisabled = true // large records from the start
	config.NextProtos, config.GetCertificate = []string{"h2", "http/1.1"}, s.config.GetCertificate
	if s.config.NoHTTP2 {
		config.NextProtos = []string{"http/1.1"}
	}
	if s.config.ClientCA == nil {
		return config
	}
	config.ClientAuth = tls.RequestClientCert
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		pool, err := s.config.ClientCA()
		if err != nil {
			klog.ErrorS(err, "Cannot read the authorities of clients; connections go on without naming them")
			return nil, nil
		}
		named := config.Clone()
		named.GetConfigForClient, named.ClientCAs = nil, pool
		return named, nil
	}
	return config
}

// serveErrors takes what net/http has to say. Handshakes that clients break off are no news.
var serveErrors = log.New(errorWriter{}, "", 0)

type errorWriter struct{}

// Write logs one line.
func (errorWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.Contains(text, "TLS handshake error") || strings.Contains(text, "URL query contains semicolon") {
		klog.V(3).Info(text)
	} else {
		klog.V(1).Info(text)
	}
	return len(line), nil
}
