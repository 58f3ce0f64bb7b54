package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/daemon/memory"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/journal"
)

// Server runs the control plane, and this machine as a node, until ctx ends. ready is called once when the API is served and
// what every cluster has is in place; it may be nil.
func Server(ctx context.Context, o Options, ready func()) error {
	if err := o.completeServer(); err != nil {
		return err
	}
	if err := o.preflight(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(o.BindAddress, strconv.Itoa(o.Port)))
	if err != nil {
		return fmt.Errorf("the API server cannot listen: %w (is another cluster running? say --port)", err)
	}
	lock, err := o.claim()
	if err != nil {
		listener.Close()
		return err
	}
	defer lock.Close()
	s := &server{Options: o, paths: paths{o.DataDir, o.NodeName}, metrics: newMetrics()}
	return s.run(ctx, listener, ready)
}

// server is a running Server.
type server struct {
	Options
	paths    paths
	material *material
	api      *apiserver.Server
	metrics  metrics
}

func (s *server) run(ctx context.Context, listener net.Listener, ready func()) error {
	group, ctx := errgroup.WithContext(ctx)
	if s.Nodes > 1 {
		if err := makeNodesNetwork(); err != nil {
			listener.Close()
			return err
		}
	}
	var node *nodeParts
	if !s.DisableAgent {
		node = startRuntime(ctx, s.Options)
		node.facts = s.facts()
	}
	if err := s.startControlPlane(ctx, group, listener); err != nil {
		listener.Close()
		return errors.Join(err, group.Wait())
	}
	group.Go(func() error { return s.renew(ctx) })
	group.Go(func() error { return memory.Trim(ctx) })
	group.Go(func() error { return s.furnish(ctx, group, node, ready) })
	err := group.Wait()
	s.stopNeighbours()
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || err == nil) {
		return nil
	}
	return err
}

// furnish starts the other components once the API has what every cluster has, and adds what this kind of cluster has.
func (s *server) furnish(ctx context.Context, group *errgroup.Group, node *nodeParts, ready func()) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.api.Bootstrapped():
	}
	if err := s.ensureAddons(ctx, s.api.Loopback); err != nil {
		return err
	}
	s.runComponents(ctx, group)
	if node != nil {
		who, err := s.nodeIdentity()
		if err != nil {
			return err
		}
		node.run(ctx, group, who)
	}
	if err := s.mergeKubeconfig(); err != nil {
		return err
	}
	if ready != nil {
		ready()
	}
	return s.startNeighbours(ctx)
}

// nodeIdentity is that of this very machine as a node: its certificate comes straight from the authority.
func (s *server) nodeIdentity() (identity, error) {
	set, err := s.as("system:node:"+s.NodeName, "system:nodes")
	if err != nil {
		return identity{}, err
	}
	proxied, err := s.as("system:kube-proxy")
	if err != nil {
		return identity{}, err
	}
	pair := &daemon.Certificate{CertFile: s.paths.pki("kubelet.crt"), KeyFile: s.paths.pki("kubelet.key")}
	return identity{set: set, proxy: proxied, journal: s.api.Journal, authority: s.paths.pki("ca.crt"), certificate: pair.GetCertificate}, nil
}

// startControlPlane brings up etcd and the API server.
func (s *server) startControlPlane(ctx context.Context, group *errgroup.Group, listener net.Listener) error {
	made := make(chan error, 1)
	go func() {
		var err error
		s.material, err = s.ensureMaterial()
		made <- err
	}()
	config, stop, err := s.openEtcd(ctx, group)
	if err = errors.Join(<-made, err); err != nil {
		if stop != nil {
			stop()
		}
		return err
	}
	pair := &daemon.Certificate{CertFile: s.paths.pki("apiserver.crt"), KeyFile: s.paths.pki("apiserver.key")}
	config.AllowPrivileged = true // the cluster's own Pods need it; --kube-apiserver-arg=allow-privileged=false says otherwise
	config.Listener, config.GetCertificate = listener, s.withAuthority(pair)
	config.Journal = journal.New(journalSize) // one for all that run in this process
	config.Metrics = s.metrics.gatherers()
	standard := s.standard()
	closeArgs, err := s.apiArgs.Apply(&config, &standard)
	if err == nil {
		s.api, err = apiserver.Open(ctx, config, standard)
	}
	if err != nil {
		closeArgs()
		stop()
		return err
	}
	group.Go(func() error {
		defer stop() // etcd ends last: the API server drains first
		defer closeArgs()
		return s.api.Run(ctx)
	})
	group.Go(func() error { return s.api.Bootstrap(ctx) })
	return nil
}

// journalSize is how many steps a process remembers: about 4 MB when full.
const journalSize = 16384

// withAuthority serves the certificate together with its authority, so that a joining node can recognize it by its pin.
func (s *server) withAuthority(pair *daemon.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		leaf, err := pair.Get()
		if err != nil {
			return nil, err
		}
		chain := *leaf
		chain.Certificate = append(chain.Certificate[:1:1], s.material.authority.Certificate.Raw)
		return &chain, nil
	}
}

// openEtcd starts the embedded etcd, or connects to an external one.
func (s *server) openEtcd(ctx context.Context, group *errgroup.Group) (apiserver.Config, func(), error) {
	if len(s.EtcdServers) > 0 {
		client, err := s.externalEtcd()
		if err != nil {
			return apiserver.Config{}, nil, err
		}
		return apiserver.Config{Etcd: client}, func() { logClose(client.Close) }, nil
	}
	embedded, err := etcd.Start(ctx, etcd.Config{DataDir: s.paths.etcd()})
	if err != nil {
		return apiserver.Config{}, nil, err
	}
	group.Go(func() error {
		select {
		case err := <-embedded.Failed():
			return err
		case <-ctx.Done():
			return nil
		}
	})
	return apiserver.Config{Etcd: embedded.Client(), EtcdRevision: embedded.Revision, EtcdDedicated: true}, embedded.Stop, nil
}

func logClose(do func() error) {
	if err := do(); err != nil {
		klog.V(2).InfoS("Not closed in order", "err", err)
	}
}

func (s *server) externalEtcd() (*clientv3.Client, error) {
	config := clientv3.Config{Endpoints: s.EtcdServers, DialTimeout: 10 * time.Second}
	if s.EtcdCA != "" || s.EtcdCert != "" {
		config.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if s.EtcdCA != "" {
			pool, err := (&daemon.Authorities{File: s.EtcdCA}).Pool()
			if err != nil {
				return nil, fmt.Errorf("--etcd-cafile: %w", err)
			}
			config.TLS.RootCAs = pool
		}
		if s.EtcdCert != "" {
			pair := &daemon.Certificate{CertFile: s.EtcdCert, KeyFile: s.EtcdKey}
			if _, err := pair.Get(); err != nil {
				return nil, fmt.Errorf("--etcd-certfile: %w", err)
			}
			config.TLS.GetClientCertificate = pair.GetClientCertificate
		}
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("--etcd-servers: %w", err)
	}
	return client, nil
}

// standard is how this cluster's API server knows and admits its clients.
func (s *server) standard() apiserver.Standard {
	issuer := "https://kubernetes.default.svc." + s.ClusterDomain
	authorities := &daemon.Authorities{File: s.paths.pki("front-proxy-ca.crt")}
	return apiserver.Standard{
		Address: netip.MustParseAddr(s.NodeIP), Port: int32(s.Port),
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix(s.ServiceCIDR)}, NodePorts: s.NodePorts,
		ClientCAFile: s.paths.pki("ca.crt"), BootstrapTokens: true,
		Header: &authn.Header{
			Roots: authorities.Pool, AllowedNames: []string{"front-proxy-client"}, User: []string{"X-Remote-User"},
			UID: []string{"X-Remote-Uid"}, Group: []string{"X-Remote-Group"}, ExtraPrefix: []string{"X-Remote-Extra-"},
		},
		HeaderCAFile: s.paths.pki("front-proxy-ca.crt"),
		Issuers:      []string{issuer}, SigningKeyFile: s.paths.pki("sa.key"), KeyFiles: []string{s.paths.pki("sa.pub")},
		Kubelet:     s.kubeletClient(),
		Aggregation: s.aggregation(),
	}
}

// aggregation shows other API servers the certificate of this proxy. Requests go to their endpoints: Pods are reached from here.
func (s *server) aggregation() apiserver.Aggregation {
	pair := &daemon.Certificate{CertFile: s.paths.pki("front-proxy-client.crt"), KeyFile: s.paths.pki("front-proxy-client.key")}
	return apiserver.Aggregation{Identity: pair.GetClientCertificate, ToEndpoints: true}
}

// kubeletClient shows kubelets the API server's certificate and trusts theirs by the cluster's authority.
func (s *server) kubeletClient() *tls.Config {
	pair := &daemon.Certificate{CertFile: s.paths.pki("apiserver-kubelet-client.crt"), KeyFile: s.paths.pki("apiserver-kubelet-client.key")}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetClientCertificate: pair.GetClientCertificate}
	if pool, err := (&daemon.Authorities{File: s.paths.pki("ca.crt")}).Pool(); err == nil {
		config.RootCAs = pool
	}
	return config
}

// renewEvery is how often certificates are looked at; they are renewed when a third of their life is left.
const renewEvery = 12 * time.Hour

func (s *server) renew(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(renewEvery):
		}
		if _, err := s.ensureMaterial(); err != nil {
			klog.FromContext(ctx).Error(err, "Certificates not renewed; trying again later")
		}
	}
}
