// Package local is the provider for machines that no cloud provides: the machine itself. It knows a Node by what its kubelet
// says, and gives load balancers addresses of a range, which the machine then has on a device of its own.
package local

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	cloudprovider "k8s.io/cloud-provider"
)

// Name is the provider's, as --cloud-provider takes it.
const Name = "local"

// Provider is cloudprovider.Interface, InformerUser, InstancesV2 and LoadBalancer.
type Provider struct {
	// Zone and Region label every node; "local" if empty.
	Zone, Region string
	// Exists says whether the machine of a Node is still there. Nil: every one is, until somebody deletes its Node.
	Exists func(node *corev1.Node) (bool, error)
	// Range is where addresses of load balancers come from; without it there are none.
	Range netip.Prefix
	// Announce makes the machine answer for exactly these addresses. Nil: somebody else does.
	Announce func(addresses []netip.Addr) error

	services corelisters.ServiceLister

	mu sync.Mutex
	// given is guarded by mu: addresses by Service ("namespace/name"), including those that its status does not show yet.
	given map[string]netip.Addr
}

var (
	_ cloudprovider.Interface    = (*Provider)(nil)
	_ cloudprovider.InformerUser = (*Provider)(nil)
	_ cloudprovider.InstancesV2  = (*Provider)(nil)
	_ cloudprovider.LoadBalancer = (*Provider)(nil)
)

// SetInformers is cloudprovider.InformerUser.
func (p *Provider) SetInformers(shared informers.SharedInformerFactory) {
	p.services = shared.Core().V1().Services().Lister()
}

// Initialize is cloudprovider.Interface; there is nothing to prepare.
func (p *Provider) Initialize(cloudprovider.ControllerClientBuilder, <-chan struct{}) {}

// LoadBalancer is cloudprovider.Interface.
func (p *Provider) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return p, p.Range.IsValid() }

// InstancesV2 is cloudprovider.Interface.
func (p *Provider) InstancesV2() (cloudprovider.InstancesV2, bool) { return p, true }

// Instances, Zones, Clusters and Routes are cloudprovider.Interface: the older forms, and what a single machine has not.
func (p *Provider) Instances() (cloudprovider.Instances, bool) { return nil, false }

// Zones is cloudprovider.Interface.
func (p *Provider) Zones() (cloudprovider.Zones, bool) { return nil, false }

// Clusters is cloudprovider.Interface.
func (p *Provider) Clusters() (cloudprovider.Clusters, bool) { return nil, false }

// Routes is cloudprovider.Interface: nodes keep their own routes.
func (p *Provider) Routes() (cloudprovider.Routes, bool) { return nil, false }

// ProviderName is cloudprovider.Interface.
func (p *Provider) ProviderName() string { return Name }

// HasClusterID is cloudprovider.Interface.
func (p *Provider) HasClusterID() bool { return true }

// InstanceExists is cloudprovider.InstancesV2.
func (p *Provider) InstanceExists(_ context.Context, node *corev1.Node) (bool, error) {
	if p.Exists == nil {
		return true, nil
	}
	return p.Exists(node)
}

// InstanceShutdown is cloudprovider.InstancesV2: a machine that is shut down cannot be told from one that is cut off.
func (p *Provider) InstanceShutdown(context.Context, *corev1.Node) (bool, error) { return false, nil }

// InstanceMetadata is cloudprovider.InstancesV2.
func (p *Provider) InstanceMetadata(_ context.Context, node *corev1.Node) (*cloudprovider.InstanceMetadata, error) {
	addresses := slices.Clone(node.Status.Addresses)
	if ip, told := node.Annotations["alpha.kubernetes.io/provided-node-ip"]; told {
		known := slices.ContainsFunc(addresses, func(a corev1.NodeAddress) bool { return a.Address == ip })
		if !known {
			addresses = append([]corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}, addresses...)
		}
	}
	if len(addresses) == 0 {
		return nil, errors.New("the kubelet has not said any address yet")
	}
	return &cloudprovider.InstanceMetadata{
		ProviderID: Name + "://" + node.Name, InstanceType: Name, NodeAddresses: addresses,
		Zone: orLocal(p.Zone), Region: orLocal(p.Region),
	}, nil
}

func orLocal(s string) string {
	if s == "" {
		return Name
	}
	return s
}
