package apiserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/pki"
)

// The test binary is also the server that a test kills: with this in its environment it serves the API on an embedded etcd, in the
// directory that it names. Further words are the addresses of the API and of etcd's socket.
const childServer = "APISERVER_TEST_SERVER"

func TestMain(m *testing.M) {
	if words := strings.Fields(os.Getenv(childServer)); len(words) == 3 {
		if err := serveAsChild(words[0], words[1], words[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveAsChild serves until standard input ends, and says on standard output when it does so.
func serveAsChild(dir, address, etcdAddress string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that matters
		stop()
	}()
	member, err := etcd.Start(ctx, etcd.Config{DataDir: filepath.Join(dir, "etcd"), ListenClient: []url.URL{{Scheme: "http", Host: etcdAddress}}})
	if err != nil {
		return err
	}
	defer member.Stop()
	authority, err := pki.LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "test")
	if err != nil {
		return err
	}
	serving, err := authority.TLS(pki.Leaf{CommonName: "kube-apiserver", Server: true, Hosts: []string{"127.0.0.1"}})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority.Certificate)
	server, err := apiserver.New(ctx, apiserver.Config{
		Etcd: member.Client(), EtcdRevision: member.Revision, EtcdDedicated: true, CompactEvery: -1, Listener: listener,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serving, nil },
		ClientCA:       func() (*x509.CertPool, error) { return pool, nil },
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return server.Run(ctx)
}

// mortal is an API server with its etcd in one process of its own, which may be killed and started again.
type mortal struct {
	dir, address, etcdAddress string
	authority                 *pki.Authority

	mu      sync.Mutex
	process *exec.Cmd
	stdin   io.WriteCloser
}

func startMortal(t *testing.T) *mortal {
	t.Helper()
	m := &mortal{dir: t.TempDir(), address: unusedAddress(t), etcdAddress: unusedAddress(t)}
	var err error
	if m.authority, err = pki.LoadOrCreateAuthority(filepath.Join(m.dir, "ca.crt"), filepath.Join(m.dir, "ca.key"), "test"); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	t.Cleanup(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.kill()
	})
	return m
}

// unusedAddress is kept for the process by nothing but the kernel's habit of not giving a port out again at once.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (m *mortal) start(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childServer+"="+strings.Join([]string{m.dir, m.address, m.etcdAddress}, " "))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		m.stdin, err = cmd.StdinPipe() // held open for as long as this process lives; the child ends with it
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	m.process = cmd
	if scanner := bufio.NewScanner(out); !scanner.Scan() || scanner.Text() != "ready" {
		t.Error("the server did not start")
	}
}

func (m *mortal) kill() {
	// A process that is gone already is all that could fail here.
	_ = m.process.Process.Kill()
	_ = m.process.Wait()
}

// killAndRestart is kill -9 and a start.
func (m *mortal) killAndRestart(t *testing.T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kill()
	m.start(t)
}

// stopAndRestart lets the server end its watches and requests first.
func (m *mortal) stopAndRestart(t *testing.T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.stdin.Close()
	_ = m.process.Wait() // how it ends is not what is tested
	m.start(t)
}

// admin is a client's configuration, with connections of its own.
func (m *mortal) admin(t *testing.T) *rest.Config {
	t.Helper()
	certificate, key, err := m.authority.Issue(pki.Leaf{CommonName: "admin", Organizations: []string{"system:masters"}, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &rest.Config{Host: "https://" + m.address, QPS: -1, TLSClientConfig: rest.TLSClientConfig{
		CAData: m.authority.PEM, CertData: certificate, KeyData: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
	}}
}
