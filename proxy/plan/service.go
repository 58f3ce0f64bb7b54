package plan

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/proxy/state"
)

// ID names a group of endpoints in the kernel: the beginning of a hash of what it is for, so that it is the same after a restart.
type ID [8]byte

func idOf(service types.NamespacedName, port *state.Port, group string) ID {
	sum := sha256.Sum256([]byte(service.String() + ":" + port.Name + "/" + strconv.Itoa(int(port.Protocol)) + " " + group))
	return ID(sum[:8])
}

// parts is what one Service needs in one family: elements, and the chains that they lead to.
type parts struct {
	elements []Element
	picks    []pick
	orders   map[ID][]netip.AddrPort
}

// planner of one Service in one family.
type builder struct {
	env     *Environment
	service *state.Service
	family  Family
	// before is how groups were numbered so far.
	before map[ID][]netip.AddrPort
	parts  parts
}

// partsOf decides what a Service needs. before tells the order of endpoints in groups as it is now, so that as few as possible change their number.
func partsOf(env *Environment, service *state.Service, family Family, before map[ID][]netip.AddrPort) parts {
	b := builder{env: env, service: service, family: family, before: before}
	for i := range service.Ports {
		b.port(&service.Ports[i])
	}
	for _, ip := range service.ClusterIPs {
		if family.Has(ip) {
			b.add(Element{Set: ClusterIPs, Key: string(key{}.addr(ip))})
		}
	}
	return b.parts
}

func (b *builder) add(element Element) { b.parts.elements = append(b.parts.elements, element) }

// port plans one port: its groups of endpoints and every destination that leads to it.
func (b *builder) port(port *state.Port) {
	s := b.service
	needLocal := s.InternalLocal || s.ExternalLocal
	c := choose(port.Endpoints, b.family, needLocal, b.env.Node, b.env.Zone)
	cluster := b.group(port, "cluster", c.cluster)
	local := group{}
	if needLocal {
		local = b.group(port, "local", c.local)
	}

	internal := cluster
	if s.InternalLocal {
		internal = local
	}
	hide := never
	switch {
	case b.env.MasqueradeAll:
		hide = always
	case b.env.Inside.Known():
		hide = outside
	}
	for _, ip := range s.ClusterIPs {
		b.destination(ip, port, port.Port, internal, hide, c.any)
	}
	external := func(ip netip.Addr, number uint16) {
		if s.ExternalLocal {
			b.destination(ip, port, number, local, never, c.any)
			b.shortcut(ip, port, number, cluster)
			return
		}
		b.destination(ip, port, number, cluster, always, c.any)
	}
	for _, ip := range s.ExternalIPs {
		external(ip, port.Port)
	}
	for _, ip := range s.LoadBalancerIPs {
		external(ip, port.Port)
		b.firewall(ip, port)
	}
	if port.NodePort != 0 {
		for _, ip := range b.env.NodePortIPs {
			external(ip, port.NodePort)
		}
	}
}

// group is endpoints that packets are spread over.
type group struct {
	id    ID
	count uint32
}

// group makes the elements of a group. An empty one has none.
func (b *builder) group(port *state.Port, purpose string, endpoints []state.Endpoint) group {
	if len(endpoints) == 0 {
		return group{}
	}
	id := idOf(b.service.Name, port, purpose)
	order := arrange(b.before[id], endpoints)
	for i, addr := range order {
		value := string(key{}.addr(addr.Addr()).port(addr.Port()))
		b.add(Element{Set: Endpoints, Key: string(key{}.id(id).number(uint32(i))), Value: value})
		if b.service.Affinity > 0 {
			b.add(Element{Set: Live, Key: string(key{}.id(id)) + value})
		}
	}
	for i := range endpoints {
		if endpoints[i].Local {
			addr := endpoints[i].Addr.Addr()
			b.add(Element{Set: Hairpin, Key: string(key{}.addr(addr).addr(addr))})
		}
	}
	if b.parts.orders == nil {
		b.parts.orders = map[ID][]netip.AddrPort{}
	}
	b.parts.orders[id] = order
	return group{id: id, count: uint32(len(order))}
}

// arrange numbers endpoints: those that were there keep their number as far as there are no holes; new ones fill the gaps.
func arrange(before []netip.AddrPort, endpoints []state.Endpoint) []netip.AddrPort {
	order := make([]netip.AddrPort, len(endpoints))
	var homeless []netip.AddrPort
	for i := range endpoints {
		addr := endpoints[i].Addr
		if at := slices.Index(before, addr); at >= 0 && at < len(order) {
			order[at] = addr
		} else {
			homeless = append(homeless, addr)
		}
	}
	for i := range order {
		if !order[i].IsValid() {
			order[i], homeless = homeless[0], homeless[1:]
		}
	}
	return order
}

// destination leads packets for an address and port to a group, or nowhere. elsewhere says that other nodes have endpoints: then silence is
// the right answer, as a balancer may try those.
func (b *builder) destination(ip netip.Addr, port *state.Port, number uint16, to group, hide masquerade, elsewhere bool) {
	if !b.family.Has(ip) {
		return
	}
	dest := destination(ip, port.Protocol, number)
	if to.count == 0 {
		verdict := chainReject
		if elsewhere {
			verdict = chainDrop
		}
		b.add(Element{Set: NoEndpoints, Key: dest, Verdict: verdict})
		return
	}
	p := pick{count: to.count, hide: hide, affinity: b.service.Affinity}
	b.parts.picks = append(b.parts.picks, p)
	b.add(Element{Set: Services, Key: dest, Verdict: p.name()})
	b.add(Element{Set: IDs, Key: dest, Value: string(to.id[:])})
}

// shortcut leads packets from inside to all endpoints though the policy is Local: that is about what comes from outside. The sender is hidden where it is this node
// itself; Pods keep theirs.
func (b *builder) shortcut(ip netip.Addr, port *state.Port, number uint16, to group) {
	if !b.family.Has(ip) || to.count == 0 {
		return
	}
	dest := destination(ip, port.Protocol, number)
	p := pick{count: to.count, affinity: b.service.Affinity, inside: true, hide: always}
	if b.env.Inside.Known() {
		p.hide = outside
	}
	b.parts.picks = append(b.parts.picks, p)
	b.add(Element{Set: ServicesInside, Key: dest, Verdict: p.name()})
	b.add(Element{Set: IDsInside, Key: dest, Value: string(to.id[:])})
}

// firewall lets only the source ranges, if there are any, use a balancer's address.
func (b *builder) firewall(ip netip.Addr, port *state.Port) {
	if len(b.service.SourceRanges) == 0 || !b.family.Has(ip) {
		return
	}
	id := idOf(b.service.Name, port, "firewall")
	b.add(Element{Set: Firewalled, Key: destination(ip, port.Protocol, port.Port), Value: string(id[:])})
	for _, prefix := range disjoint(b.service.SourceRanges, b.family) {
		b.add(Element{
			Set: Allowed, Key: string(key{}.id(id).addr(prefix.Addr())), End: string(key{}.id(id).addr(last(prefix))),
		})
	}
}
