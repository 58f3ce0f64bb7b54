package local

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	cloudprovider "k8s.io/cloud-provider"
)

// GetLoadBalancerName is cloudprovider.LoadBalancer.
func (p *Provider) GetLoadBalancerName(_ context.Context, _ string, service *corev1.Service) string {
	return cloudprovider.DefaultLoadBalancerName(service)
}

// GetLoadBalancer is cloudprovider.LoadBalancer.
func (p *Provider) GetLoadBalancer(_ context.Context, _ string, service *corev1.Service) (*corev1.LoadBalancerStatus, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.recall(); err != nil {
		return nil, false, err
	}
	address, ok := p.given[keyOf(service)]
	if !ok {
		return nil, false, nil
	}
	return status(address), true, nil
}

// EnsureLoadBalancer is cloudprovider.LoadBalancer. The Service keeps the address that it has; a new one gets what
// spec.loadBalancerIP asks for, or the lowest free one. Traffic to it is kube-proxy's.
func (p *Provider) EnsureLoadBalancer(_ context.Context, _ string, service *corev1.Service, _ []*corev1.Node) (*corev1.LoadBalancerStatus, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.recall(); err != nil {
		return nil, err
	}
	key := keyOf(service)
	address, err := p.choose(key, service.Spec.LoadBalancerIP)
	if err != nil {
		return nil, err
	}
	p.given[key] = address
	if err := p.announce(); err != nil {
		return nil, err
	}
	return status(address), nil
}

// UpdateLoadBalancer is cloudprovider.LoadBalancer: the Nodes behind an address do not matter, since each knows all endpoints.
func (p *Provider) UpdateLoadBalancer(context.Context, string, *corev1.Service, []*corev1.Node) error {
	return nil
}

// EnsureLoadBalancerDeleted is cloudprovider.LoadBalancer.
func (p *Provider) EnsureLoadBalancerDeleted(_ context.Context, _ string, service *corev1.Service) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.recall(); err != nil {
		return err
	}
	delete(p.given, keyOf(service))
	return p.announce()
}

// recall learns, once after a start, which addresses Services have.
func (p *Provider) recall() error {
	if p.given != nil {
		return nil
	}
	services, err := p.services.List(labels.Everything())
	if err != nil {
		return err
	}
	p.given = map[string]netip.Addr{}
	for _, service := range services {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			if address, err := netip.ParseAddr(ingress.IP); err == nil && p.Range.Contains(address) {
				p.given[keyOf(service)] = address
			}
		}
	}
	return nil
}

func (p *Provider) choose(key, asked string) (netip.Addr, error) {
	taken := map[netip.Addr]string{}
	for other, address := range p.given {
		if other != key {
			taken[address] = other
		}
	}
	if asked != "" {
		address, err := netip.ParseAddr(asked)
		switch {
		case err != nil:
			return address, fmt.Errorf("spec.loadBalancerIP %q is not an IP address", asked)
		case !p.Range.Contains(address):
			return address, fmt.Errorf("spec.loadBalancerIP %s is not in the range of load balancers, %s", asked, p.Range)
		case taken[address] != "":
			return address, fmt.Errorf("spec.loadBalancerIP %s belongs to service %s", asked, taken[address])
		}
		return address, nil
	}
	if address, has := p.given[key]; has {
		return address, nil
	}
	for address := p.Range.Masked().Addr().Next(); p.Range.Contains(address); address = address.Next() {
		last := !p.Range.Contains(address.Next()) // the broadcast address of an IPv4 range
		if taken[address] == "" && !(last && address.Is4()) {
			return address, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("all addresses of %s are taken", p.Range)
}

// announce tells the machine which addresses are its own now, in order.
func (p *Provider) announce() error {
	if p.Announce == nil {
		return nil
	}
	var addresses []netip.Addr
	for _, address := range p.given {
		addresses = append(addresses, address)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return p.Announce(addresses)
}

func keyOf(service *corev1.Service) string { return service.Namespace + "/" + service.Name }

func status(address netip.Addr) *corev1.LoadBalancerStatus {
	mode := corev1.LoadBalancerIPModeVIP
	return &corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: address.String(), IPMode: &mode}}}
}
