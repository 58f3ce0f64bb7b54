package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/pki"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/scheduler"
	"github.com/septet-io/septet/scheduler/config"
	"github.com/septet-io/septet/test/peer"
)

// control is a control plane: etcd, an API server and, once schedule is called, a scheduler.
type control struct {
	dir       string
	ca        *pki.Authority
	url       string
	set       *client.Set       // the load's own
	server    *apiserver.Server // ours, in this process; nil if a peer's
	processes []*peer.Process
	scheduler *peer.Process // nil if it runs in this process
	running   sync.WaitGroup
	failures  chan error
	stops     []func()
}

// start makes a control plane in an empty directory.
func start(ctx context.Context, o *options) (c *control, err error) {
	c = &control{failures: make(chan error, 8)}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	if c.dir, err = os.MkdirTemp("", "bench-scheduler-"); err != nil {
		return c, err
	}
	c.stops = append(c.stops, func() { os.RemoveAll(c.dir) })
	if c.ca, err = pki.LoadOrCreateAuthority(filepath.Join(c.dir, "ca.crt"), filepath.Join(c.dir, "ca.key"), "bench"); err != nil {
		return c, err
	}
	settings := etcd.Config{DataDir: filepath.Join(c.dir, "etcd")}
	if o.peerServer != "" {
		address, err := listen()
		if err != nil {
			return c, err
		}
		address.Close()
		settings.ListenClient = []url.URL{{Scheme: "http", Host: address.Addr().String()}}
	}
	member, err := etcd.Start(ctx, settings)
	if err != nil {
		return c, err
	}
	c.stops = append(c.stops, member.Stop)
	if o.peerServer != "" {
		return c, c.startPeer(ctx, o.peerServer, settings.ListenClient[0].String())
	}
	return c, c.startOwn(ctx, member)
}

func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// startOwn runs our API server in this process; schedulers apart reach it over TLS.
func (c *control) startOwn(ctx context.Context, member *etcd.Server) error {
	private, public := filepath.Join(c.dir, "sa.key"), filepath.Join(c.dir, "sa.pub")
	if err := pki.EnsureSigningKey(private, public); err != nil {
		return err
	}
	serving, err := c.ca.TLS(pki.Leaf{CommonName: "kube-apiserver", Server: true, Hosts: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		return err
	}
	listener, err := listen()
	if err != nil {
		return err
	}
	c.url = "https://" + listener.Addr().String()
	clients := x509.NewCertPool()
	clients.AddCert(c.ca.Certificate)
	ctx, cancel := context.WithCancel(ctx)
	c.stops = append(c.stops, func() { cancel(); c.running.Wait() })
	c.server, err = apiserver.Open(ctx, apiserver.Config{
		Etcd: member.Client(), EtcdRevision: member.Revision, EtcdDedicated: true, Listener: listener,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serving, nil },
		ClientCA:       func() (*x509.CertPool, error) { return clients, nil },
	}, apiserver.Standard{
		Address: netip.MustParseAddr("10.0.0.1"), Port: 6443, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
		// Nobody heartbeats for the nodes, and nobody makes service accounts.
		DisablePlugins: []string{"TaintNodesByCondition", "ServiceAccount"}, ClientCAFile: filepath.Join(c.dir, "ca.crt"),
		Issuers: []string{"https://kubernetes.default.svc"}, SigningKeyFile: private, KeyFiles: []string{public},
	})
	if err != nil {
		return err
	}
	c.running.Go(func() { c.failures <- c.server.Run(ctx) })
	c.running.Go(func() { c.failures <- c.server.Bootstrap(ctx) })
	select {
	case <-c.server.Bootstrapped():
	case err := <-c.failures:
		return err
	}
	c.set, err = c.as("bench", "system:masters")
	return err
}

// as are the clients of a user in this process.
func (c *control) as(user string, groups ...string) (*client.Set, error) {
	return c.server.Loopback.As(c.server.Local(resource.User{Name: user, Groups: append(groups, "system:authenticated")}))
}

// startPeer runs another API server.
func (c *control) startPeer(ctx context.Context, program, etcd string) error {
	ready, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	p, address, err := peer.APIServer(ready, c.dir, program, etcd, c.ca)
	if err != nil {
		return err
	}
	c.url = address
	c.stops = append(c.stops, p.Stop)
	c.processes = append(c.processes, p)
	file, err := c.kubeconfig("bench", "system:masters")
	if err != nil {
		return err
	}
	c.set, err = client.FromKubeconfig(file, "", "bench")
	return err
}

func (c *control) kubeconfig(user string, groups ...string) (file string, err error) {
	file = filepath.Join(c.dir, user+".kubeconfig")
	_, err = c.ca.EnsureKubeconfig(file, c.url, "bench", pki.Leaf{CommonName: user, Organizations: groups})
	return file, err
}

// schedule starts the scheduler.
func (c *control) schedule(ctx context.Context, v variant) error {
	if v.program != "" {
		file, err := c.kubeconfig("system:kube-scheduler")
		if err != nil {
			return err
		}
		c.scheduler, err = peer.Scheduler(c.dir, v.program, file, v.args...)
		if err == nil {
			c.stops = append(c.stops, c.scheduler.Stop)
			c.processes = append(c.processes, c.scheduler)
		}
		return err
	}
	component := config.Default()
	component.LeaderElection.LeaderElect = ptr.To(false)
	set, err := c.as("system:kube-scheduler")
	if err != nil {
		return err
	}
	c.running.Go(func() { c.failures <- scheduler.Run(ctx, scheduler.Config{Client: set, Component: component}) })
	return nil
}

// stop ends everything, last things first.
func (c *control) stop() {
	for i := len(c.stops) - 1; i >= 0; i-- {
		c.stops[i]()
	}
}

// cpu is the time that all parts have computed: of this process, in which the load is, and of others.
func (c *control) cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	total := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	for _, p := range c.processes {
		total += p.CPU()
	}
	return total
}

// memory is what all parts have resident, in bytes.
func (c *control) memory() (total int64) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		return 0
	}
	total = pages * int64(os.Getpagesize())
	for _, p := range c.processes {
		total += p.Resident()
	}
	return total
}
