package cluster

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/apiserver/authn/serviceaccount"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/cloud"
	"github.com/septet-io/septet/cloud/local"
	"github.com/septet-io/septet/cluster/dns"
	"github.com/septet-io/septet/controllers"
	"github.com/septet-io/septet/controllers/persistentvolume"
	"github.com/septet-io/septet/reconcile"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/scheduler"
)

// BalancerDevice has the addresses of load balancers.
const BalancerDevice = "septet-lb"

// as returns clients for a user, whose informers are the API server's own.
func (s *server) as(name string, groups ...string) (*client.Set, error) {
	return s.api.Loopback.As(s.local(name, groups...))
}

func (s *server) local(name string, groups ...string) *rest.Config {
	return s.api.Local(resource.User{Name: name, Groups: append(groups, authn.Authenticated)})
}

// runComponents runs, in this process, those that meet only through the API.
func (s *server) runComponents(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return s.runControllers(ctx) })
	group.Go(func() error { return s.runScheduler(ctx) })
	group.Go(func() error { return s.runCloud(ctx) })
	group.Go(func() error { return s.runDNS(ctx) })
}

// identity in leases stays the same over restarts, so that a restarted server need not wait for its own lease to end.
func (s *server) identity() string { return s.NodeName + "_septet" }

func (s *server) election(set *client.Set, name string) *reconcile.Election {
	// Renewing is most of what an idle server does; one that has no rival nearby need not do it more often.
	return &reconcile.Election{Client: set, Namespace: "kube-system", Name: name, Identity: s.identity(), RetryPeriod: 4 * time.Second}
}

func (s *server) runControllers(ctx context.Context) error {
	set, err := s.as("system:kube-controller-manager")
	if err != nil {
		return err
	}
	authority := controllers.KeyPair{CertFile: s.paths.pki("ca.crt"), KeyFile: s.paths.pki("ca.key")}
	return controllers.Run(ctx, controllers.Config{
		Clients: set, Journal: s.api.Journal, Election: s.election(set, "kube-controller-manager"), Metrics: s.metrics.controllers,
		As: func(account string) (*client.Set, error) {
			return s.as(serviceaccount.UserName("kube-system", account), serviceaccount.Groups("kube-system")...)
		},
		RootCA: s.material.authority.PEM, ServiceAccountKeyFile: s.paths.pki("sa.key"), Controllers: []string{"*", "tokencleaner"}, // join tokens are tidied up
		Signing: controllers.Signing{CertFile: authority.CertFile, KeyFile: authority.KeyFile, ApproveServing: true},
		Nodes:   controllers.Nodes{AllocateCIDRs: true, ClusterCIDRs: []string{s.ClusterCIDR}, ServiceCIDRs: []string{s.ServiceCIDR}},
		Volumes: controllers.Volumes{Provisioners: []persistentvolume.Provisioner{s.localPath()}},
	})
}

func (s *server) runScheduler(ctx context.Context) error {
	set, err := s.as("system:kube-scheduler")
	if err != nil {
		return err
	}
	return scheduler.Run(ctx, scheduler.Config{Client: set, Journal: s.api.Journal, Identity: s.identity(), Mount: s.api.Handle, Metrics: s.metrics.scheduler})
}

func (s *server) runCloud(ctx context.Context) error {
	set, err := s.as("system:cloud-controller-manager")
	if err != nil {
		return err
	}
	provider := &local.Provider{
		Range: netip.MustParsePrefix(s.LoadBalancerCIDR), Announce: local.Device(BalancerDevice).Set,
	}
	return cloud.Run(ctx, cloud.Config{Clients: set, Provider: provider, Journal: s.api.Journal, Election: s.election(set, "cloud-controller-manager"), Metrics: s.metrics.cloud})
}

func (s *server) runDNS(ctx context.Context) error {
	return dns.Run(ctx, dns.Config{Address: s.NodeIP, Port: dnsPort, Domain: s.ClusterDomain, Kubeconfig: s.paths.dns()})
}
