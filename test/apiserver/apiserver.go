// Package apiserver starts the real API server on a real embedded etcd for tests: TLS on a loopback port, client certificates
// for any user, in-process clients.
package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/pki"
	"github.com/septet-io/septet/resource"
)

// Server is a running API server. It is stopped when its test ends.
type Server struct {
	*apiserver.Server
	Etcd *etcd.Server
	// URL of the server, without a slash at the end.
	URL string
	// CA has signed the server's certificate and signs those of clients. CAData is its certificate in PEM.
	CA     *pki.Authority
	CAData []byte

	t        testing.TB
	dir      string
	standard *apiserver.Standard // nil: neither authentication by tokens nor authorization nor admission
	stop     context.CancelFunc
	done     chan error
	cleaned  bool // the test's end is prepared
}

// Start runs a server until the test ends. change, if given, may change its configuration.
func Start(t testing.TB, change ...func(*apiserver.Config)) *Server {
	t.Helper()
	s := prepare(t)
	s.run(change)
	return s
}

// StartComplete runs a server that knows, allows and admits its clients as in a cluster, until the test ends. change, if given,
// may change how.
func StartComplete(t testing.TB, change ...func(*apiserver.Standard)) *Server {
	t.Helper()
	return StartConfigured(t, func(*apiserver.Config) {}, change...)
}

// StartConfigured is StartComplete with a change of the rest of the configuration.
func StartConfigured(t testing.TB, config func(*apiserver.Config), change ...func(*apiserver.Standard)) *Server {
	t.Helper()
	s := prepare(t)
	private, public := filepath.Join(s.dir, "sa.key"), filepath.Join(s.dir, "sa.pub")
	if err := pki.EnsureSigningKey(private, public); err != nil {
		t.Fatalf("key of service accounts: %v", err)
	}
	s.standard = &apiserver.Standard{
		Address: netip.MustParseAddr("192.0.2.1"), Port: 6443, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/24")},
		ClientCAFile: filepath.Join(s.dir, "ca.crt"), Issuers: []string{"https://kubernetes.default.svc"}, BootstrapTokens: true,
		SigningKeyFile: private, KeyFiles: []string{public},
		// Nobody here makes the default service accounts, nor takes finalizers away.
		DisablePlugins: []string{"StorageObjectInUseProtection", "ServiceAccount"},
	}
	for _, f := range change {
		f(s.standard)
	}
	s.run([]func(*apiserver.Config){config})
	select {
	case <-s.Bootstrapped():
	case <-time.After(waitStop):
		t.Fatal("apiserver: not ready within a minute")
	}
	return s
}

func prepare(t testing.TB) *Server {
	t.Helper()
	dir := t.TempDir()
	member, err := etcd.Start(context.Background(), etcd.Config{DataDir: filepath.Join(dir, "etcd"), UnsafeNoFsync: true})
	if err != nil {
		t.Fatalf("etcd: %v", err)
	}
	t.Cleanup(member.Stop)
	s := &Server{Etcd: member, t: t, dir: dir}
	if s.CA, err = pki.LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "test"); err != nil {
		t.Fatalf("authority: %v", err)
	}
	s.CAData = s.CA.PEM
	return s
}

func (s *Server) run(change []func(*apiserver.Config)) {
	s.t.Helper()
	serving, err := s.CA.TLS(pki.Leaf{
		CommonName: "kube-apiserver", Server: true, Hosts: []string{"localhost", "127.0.0.1"},
	})
	if err != nil {
		s.t.Fatalf("serving certificate: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatalf("listen: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(s.CA.Certificate)
	config := apiserver.Config{
		Etcd: s.Etcd.Client(), EtcdRevision: s.Etcd.Revision, EtcdDedicated: true, CompactEvery: -1,
		Listener:       listener,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serving, nil },
		ClientCA:       func() (*x509.CertPool, error) { return pool, nil },
	}
	for _, f := range change {
		f(&config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if s.standard != nil {
		s.Server, err = apiserver.Open(ctx, config, *s.standard)
	} else {
		s.Server, err = apiserver.New(ctx, config)
	}
	if err != nil {
		cancel()
		s.t.Fatalf("apiserver: %v", err)
	}
	s.URL = "https://" + listener.Addr().String()
	s.stop, s.done = cancel, make(chan error, 1)
	running, server := make(chan error, 1), s.Server
	go func() { running <- server.Run(ctx) }()
	go func() {
		var bootstrapping error
		if s.standard != nil {
			bootstrapping = server.Bootstrap(ctx)
		}
		s.done <- errors.Join(<-running, bootstrapping)
	}()
	if s.cleaned {
		return
	}
	s.cleaned = true
	s.t.Cleanup(s.Stop)
	if _, benchmark := s.t.(*testing.B); !benchmark {
		s.t.Cleanup(s.Agree)
	}
}

// Restart stops a complete server and runs it anew on the same etcd, until it is ready.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.run(nil)
	for s.Do("GET", "/readyz", "").Code != http.StatusOK {
		select {
		case <-s.t.Context().Done():
			s.t.Fatal("apiserver: not ready again")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// waitStop is how long the end of a server may take.
const waitStop = time.Minute

// Stop ends the server, gracefully; the test's end does it too.
func (s *Server) Stop() {
	s.stop()
	select {
	case err, open := <-s.done:
		if open {
			close(s.done)
		}
		if err != nil {
			s.t.Errorf("apiserver: %v", err)
		}
	case <-time.After(waitStop):
		s.t.Error("apiserver: did not stop within a minute")
	}
}

// Admin returns the configuration of a client that may do everything.
func (s *Server) Admin() *rest.Config { return s.As("admin", "system:masters") }

// As returns the configuration of a client with a certificate for a user in groups.
func (s *Server) As(user string, groups ...string) *rest.Config {
	s.t.Helper()
	certificate, key, err := s.CA.Issue(pki.Leaf{CommonName: user, Organizations: groups, Client: true})
	if err != nil {
		s.t.Fatalf("certificate of %s: %v", user, err)
	}
	keyBytes, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		s.t.Fatalf("key of %s: %v", user, err)
	}
	return &rest.Config{
		Host: s.URL, QPS: -1, UserAgent: user,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: s.CAData, CertData: certificate,
			KeyData: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyBytes}),
		},
	}
}

// Clients returns all clients of a configuration.
func (s *Server) Clients(config *rest.Config) *client.Set {
	s.t.Helper()
	set, err := client.New(config)
	if err != nil {
		s.t.Fatalf("clients: %v", err)
	}
	return set
}

// Client returns all clients of the administrator, over TLS.
func (s *Server) Client() *client.Set { return s.Clients(s.Admin()) }

// InProcess returns all clients of a user in groups, without sockets.
func (s *Server) InProcess(user string, groups ...string) *client.Set {
	return s.Clients(s.Local(resource.User{Name: user, Groups: groups}))
}

// Namespace makes a namespace, if it is not there.
func (s *Server) Namespace(name string) {
	s.t.Helper()
	client := s.InProcess("admin", "system:masters")
	_, err := client.CoreV1().Namespaces().Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		s.t.Fatalf("namespace %s: %v", name, err)
	}
}
