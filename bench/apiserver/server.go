package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/pki"
)

// server is an API server with its etcd: one process or two.
type server struct {
	kind, dir         string
	address           string // of the API server
	etcdAddress       string
	api, etcd         *exec.Cmd // etcd is nil where it is part of api
	apiBinary, binary string
	authority         *pki.Authority
	admin             tls.Certificate
	tls               *tls.Config
}

// newServer makes what the processes need: a directory, certificates, ports.
func newServer(kind string, o *options) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{kind: kind, apiBinary: self, binary: self}
	if kind == "peer" {
		s.apiBinary = o.peerServer
		if o.peerEtcd != "" {
			s.binary = o.peerEtcd
		}
	}
	if s.dir, err = os.MkdirTemp(o.dir, "bench-apiserver-"); err != nil {
		return nil, err
	}
	if s.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if s.etcdAddress, err = freeAddress(); err != nil {
		return nil, err
	}
	return s, s.makeMaterial()
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *server) file(name string) string { return filepath.Join(s.dir, name) }

func (s *server) makeMaterial() error {
	var err error
	if s.authority, err = pki.LoadOrCreateAuthority(s.file("ca.crt"), s.file("ca.key"), "bench"); err != nil {
		return err
	}
	leaf := pki.Leaf{CommonName: "kube-apiserver", Server: true, Hosts: []string{"localhost", "127.0.0.1"}}
	if _, err := s.authority.Ensure(s.file("server.crt"), s.file("server.key"), leaf); err != nil {
		return err
	}
	if err := pki.EnsureSigningKey(s.file("sa.key"), s.file("sa.pub")); err != nil {
		return err
	}
	if s.admin, err = s.authority.TLS(pki.Leaf{CommonName: "admin", Organizations: []string{"system:masters"}, Client: true}); err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(s.authority.Certificate)
	s.tls = &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{s.admin}, NextProtos: []string{"h2"}, ServerName: "localhost"}
	return nil
}

// standardOf is how the server in one process is set up: as apiFlags set up one of its own.
func standardOf(dir string, config *apiserver.Config) (apiserver.Standard, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }
	return apiserver.Standard{
		Address: netip.MustParseAddr("127.0.0.1"), Port: 6443, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
		ClientCAFile: filepath.Join(dir, "ca.crt"), Issuers: []string{"https://bench"},
		SigningKeyFile: filepath.Join(dir, "sa.key"), KeyFiles: []string{filepath.Join(dir, "sa.pub")},
		DisablePlugins: []string{"ServiceAccount"},
	}, err
}

// apiFlags start the API server alone, upstream's or ours. The service account plug-in would wait for a controller.
func (s *server) apiFlags() []string {
	_, port, _ := net.SplitHostPort(s.address) // it came from a listener
	return []string{
		"--bind-address=127.0.0.1", "--secure-port=" + port, "--advertise-address=192.0.2.1", "--etcd-servers=http://" + s.etcdAddress,
		"--tls-cert-file=" + s.file("server.crt"), "--tls-private-key-file=" + s.file("server.key"), "--client-ca-file=" + s.file("ca.crt"),
		"--service-account-issuer=https://bench", "--service-account-signing-key-file=" + s.file("sa.key"),
		"--service-account-key-file=" + s.file("sa.pub"), "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=Node,RBAC",
		"--disable-admission-plugins=ServiceAccount",
	}
}

func (s *server) etcdFlags() []string {
	return []string{
		"--data-dir=" + s.file("etcd"), "--listen-client-urls=http://" + s.etcdAddress, "--advertise-client-urls=http://" + s.etcdAddress,
		"--listen-peer-urls=http://127.0.0.1:0", "--quota-backend-bytes=8589934592",
	}
}

// start runs the processes until the API server is ready, and returns how long that took, without etcd where it is apart.
func (s *server) start() (time.Duration, error) {
	if s.kind == "together" {
		return s.startAPI("together", s.dir, s.address, s.etcdAddress)
	}
	args := s.etcdFlags()
	if s.kind == "apart" || s.binary != "" && filepath.Base(s.binary) != "etcd" {
		args = append([]string{"etcd"}, args...)
	}
	var err error
	if s.etcd, err = s.spawn(s.binary, "etcd.log", args...); err != nil {
		return 0, err
	}
	if err := dialable(s.etcdAddress); err != nil {
		return 0, err
	}
	args = s.apiFlags()
	if s.kind == "apart" {
		args = append([]string{"kube-apiserver"}, args...)
	}
	return s.startAPI(args...)
}

func (s *server) startAPI(args ...string) (time.Duration, error) {
	began := time.Now()
	var err error
	if s.api, err = s.spawn(s.apiBinary, "apiserver.log", args...); err != nil {
		return 0, err
	}
	return s.awaitReady(began)
}

func (s *server) spawn(binary, log string, args ...string) (*exec.Cmd, error) {
	out, err := os.OpenFile(s.file(log), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, cmd.Start()
}

// patience is how long anything may take before the run is given up.
const patience = 3 * time.Minute

func dialable(address string) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("nobody listens on %s", address)
}

func (s *server) awaitReady(began time.Time) (time.Duration, error) {
	for time.Since(began) < patience {
		if s.ready() {
			return time.Since(began), nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	log, err := os.ReadFile(s.file("apiserver.log"))
	return 0, fmt.Errorf("not ready within %s: %s %w", patience, log[max(0, len(log)-2000):], err)
}

func (s *server) ready() bool {
	c, err := s.dial()
	if err != nil {
		return false
	}
	defer c.close()
	got, err := c.do(s.call("GET", "", plainText), "/readyz", nil, nil)
	return err == nil && got.status == 200
}

func (s *server) dial() (*connection, error) { return dial(s.address, s.tls) }

// Media types.
const (
	plainText = "text/plain, */*"
	asJSON    = "application/json"
)

func (s *server) call(method, contentType, accept string) call {
	return newCall(method, s.address, contentType, accept)
}

// stop ends the processes, the API server first.
func (s *server) stop() error {
	for _, process := range []**exec.Cmd{&s.api, &s.etcd} {
		if *process == nil {
			continue
		}
		if err := (*process).Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		_ = (*process).Wait() // how it ends is its own affair
		*process = nil
	}
	return nil
}

func (s *server) remove() {
	if err := s.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "bench/apiserver:", err)
	}
	os.RemoveAll(s.dir)
}
