package peer

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/pki"
)

// Program is the path of one of upstream's programs, as an environment variable gives it: SEPTET_PEER_APISERVER, SEPTET_PEER_CONTROLLERS,
// SEPTET_PEER_SCHEDULER, SEPTET_PEER_PROXY, SEPTET_PEER_KUBELET. Without it the test is skipped.
func Program(t testing.TB, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Skipf("%s does not name upstream's program; make peers builds it", variable)
	}
	return path
}

// Server is upstream's kube-apiserver on an etcd of ours, until the test ends.
type Server struct {
	URL string
	CA  *pki.Authority
	Material
	t   testing.TB
	dir string
}

// StartServer runs the program that SEPTET_PEER_APISERVER names.
func StartServer(t testing.TB) *Server {
	t.Helper()
	binary := Program(t, "SEPTET_PEER_APISERVER")
	s := &Server{t: t, dir: t.TempDir()}
	host, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	address := url.URL{Scheme: "http", Host: host}
	member, err := etcd.Start(context.Background(), etcd.Config{DataDir: filepath.Join(s.dir, "etcd"), UnsafeNoFsync: true, ListenClient: []url.URL{address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Stop)
	s.Material = Material{CACert: filepath.Join(s.dir, "ca.crt"), CAKey: filepath.Join(s.dir, "ca.key"), AccountKey: filepath.Join(s.dir, "peer-sa.key")}
	if s.CA, err = pki.LoadOrCreateAuthority(s.CACert, s.CAKey, "test"); err != nil {
		t.Fatal(err)
	}
	ready, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	p, url, err := APIServer(ready, s.dir, binary, address.String(), s.CA)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	s.URL = url
	return s
}

// Kubeconfig returns a file with which a user in groups reaches the server.
func (s *Server) Kubeconfig(user string, groups ...string) string {
	s.t.Helper()
	return Kubeconfig(s.t, s.CA, s.URL, user, groups...)
}

// Client returns all clients of a user in groups.
func (s *Server) Client(user string, groups ...string) *client.Set {
	s.t.Helper()
	return Client(s.t, s.Kubeconfig(user, groups...), user)
}

// Kubeconfig returns a file with which a user in groups reaches a server, by a certificate.
func Kubeconfig(t testing.TB, ca *pki.Authority, server, user string, groups ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if _, err := ca.EnsureKubeconfig(file, server, "test", pki.Leaf{CommonName: user, Organizations: groups}); err != nil {
		t.Fatal(fmt.Errorf("kubeconfig of %s: %w", user, err))
	}
	return file
}

// Client returns all clients of a kubeconfig.
func Client(t testing.TB, kubeconfig, userAgent string) *client.Set {
	t.Helper()
	set, err := client.FromKubeconfig(kubeconfig, "", userAgent)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
