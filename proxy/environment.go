package proxy

import (
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/proxy/plan"
)

// environment collects from several sources what rules depend on besides Services.
type environment struct {
	settings settings
	poke     func()

	mu    sync.Mutex
	dirty bool
	// zone, nodeIPs and nodeCIDRs are the Node's.
	zone      string
	nodeIPs   []netip.Addr
	nodeCIDRs []netip.Prefix
	// serviceCIDRs are by name of the ServiceCIDR object.
	serviceCIDRs map[string][]netip.Prefix
	// addresses and bridges are this machine's, as the kernel has them now.
	addresses []address
	bridges   []uint32
}

// address is one of this machine's. Single is one that is in no network, as those are that balancers put on a node: it is not the node's own.
type address struct {
	netip.Addr
	single bool
}

func (e *environment) init(settings settings, poke func()) {
	e.settings, e.poke, e.serviceCIDRs = settings, poke, map[string][]netip.Prefix{}
}

// changed says whether take would return something new.
func (e *environment) changed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dirty
}

// take returns the environment as it is.
func (e *environment) take() plan.Environment {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dirty = false
	env := plan.Environment{Config: e.settings.plan, Zone: e.zone, PodCIDRs: e.settings.clusterCIDRs, Bridges: slices.Clone(e.bridges)}
	if e.settings.nodeCIDR {
		env.PodCIDRs = slices.Clone(e.nodeCIDRs)
	}
	for _, prefixes := range e.serviceCIDRs {
		env.ServiceCIDRs = append(env.ServiceCIDRs, prefixes...)
	}
	env.NodePortIPs = e.nodePortIPs()
	return env
}

// nodePortIPs are where node ports are open. Never on loopback: the kernel would not let such packets out. Where nothing is said, they are open on all
// addresses of the node's own. e.mu is held.
func (e *environment) nodePortIPs() []netip.Addr {
	ports := e.settings.nodePorts
	if ports.primary {
		return slices.Clone(e.nodeIPs)
	}
	var open []netip.Addr
	for _, a := range e.addresses {
		var wanted bool
		if len(ports.ranges) > 0 {
			wanted = slices.ContainsFunc(ports.ranges, func(p netip.Prefix) bool { return p.Contains(a.Addr) })
		} else {
			wanted = !a.single || slices.Contains(e.nodeIPs, a.Addr)
		}
		if wanted && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			open = append(open, a.Addr)
		}
	}
	return open
}

// set changes something under the lock and asks for a pass if change says that it did.
func (e *environment) set(change func() bool) {
	e.mu.Lock()
	changed := change()
	e.dirty = e.dirty || changed
	e.mu.Unlock()
	if changed {
		e.poke()
	}
}

func (e *environment) setNode(node *corev1.Node) {
	var ips []netip.Addr
	for _, address := range node.Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		// The first of each family is the primary one.
		addr, err := netip.ParseAddr(address.Address)
		if err == nil && !slices.ContainsFunc(ips, func(other netip.Addr) bool { return other.Is4() == addr.Is4() }) {
			ips = append(ips, addr)
		}
	}
	var cidrs []netip.Prefix
	for _, text := range node.Spec.PodCIDRs {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			cidrs = append(cidrs, prefix.Masked())
		}
	}
	e.set(func() bool {
		zone := node.Labels[corev1.LabelTopologyZone]
		same := e.zone == zone && slices.Equal(e.nodeIPs, ips) && slices.Equal(e.nodeCIDRs, cidrs)
		e.zone, e.nodeIPs, e.nodeCIDRs = zone, ips, cidrs
		return !same
	})
}

// setServiceCIDR takes the ranges of one ServiceCIDR; none if it is gone.
func (e *environment) setServiceCIDR(name string, texts []string) {
	var cidrs []netip.Prefix
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			cidrs = append(cidrs, prefix.Masked())
		}
	}
	e.set(func() bool {
		same := slices.Equal(e.serviceCIDRs[name], cidrs)
		if e.serviceCIDRs[name] = cidrs; len(cidrs) == 0 {
			delete(e.serviceCIDRs, name)
		}
		return !same
	})
}

// setMachine takes what the kernel has.
func (e *environment) setMachine(addresses []address, bridges []uint32) {
	e.set(func() bool {
		same := slices.Equal(e.addresses, addresses) && slices.Equal(e.bridges, bridges)
		e.addresses, e.bridges = addresses, bridges
		return !same
	})
}
