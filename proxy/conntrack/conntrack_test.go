package conntrack

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func flows(to string, endpoints ...string) Flows {
	f := Flows{netip.MustParseAddrPort(to): {}}
	for _, endpoint := range endpoints {
		f[netip.MustParseAddrPort(to)][netip.MustParseAddrPort(endpoint)] = true
	}
	return f
}

const vip = "10.96.0.1:53"

func TestStale(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		old, now Flows
		want     bool
	}{
		"nothing":      {Flows{}, Flows{}, false},
		"first comes":  {flows(vip), flows(vip, "10.0.0.1:53"), true},
		"new service":  {Flows{}, flows(vip, "10.0.0.1:53"), true},
		"another":      {flows(vip, "10.0.0.1:53"), flows(vip, "10.0.0.1:53", "10.0.0.2:53"), false},
		"one goes":     {flows(vip, "10.0.0.1:53", "10.0.0.2:53"), flows(vip, "10.0.0.1:53"), true},
		"service goes": {flows(vip, "10.0.0.1:53"), Flows{}, true},
		"same":         {flows(vip, "10.0.0.1:53"), flows(vip, "10.0.0.1:53"), false},
		"none served":  {Flows{}, flows(vip), false},
	} {
		if got := Stale(c.old, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	remembered := func(protocol uint8, to, by string) *netlink.ConntrackFlow {
		tuple := func(text string) (net.IP, uint16) {
			addr := netip.MustParseAddrPort(text)
			return addr.Addr().AsSlice(), addr.Port()
		}
		flow := &netlink.ConntrackFlow{Forward: netlink.IPTuple{Protocol: protocol}}
		flow.Forward.DstIP, flow.Forward.DstPort = tuple(to)
		flow.Reverse.SrcIP, flow.Reverse.SrcPort = tuple(by)
		return flow
	}
	for name, c := range map[string]struct {
		protocol uint8
		to, by   string
		old, now Flows
		want     bool
	}{
		"to an endpoint":            {unix.IPPROTO_UDP, vip, "10.0.0.1:53", Flows{}, flows(vip, "10.0.0.1:53"), false},
		"to one that went":          {unix.IPPROTO_UDP, vip, "10.0.0.2:53", flows(vip, "10.0.0.2:53"), flows(vip, "10.0.0.1:53"), true},
		"nowhere, now served":       {unix.IPPROTO_UDP, vip, vip, Flows{}, flows(vip, "10.0.0.1:53"), true},
		"nowhere, still not served": {unix.IPPROTO_UDP, vip, vip, Flows{}, flows(vip), false},
		"the service went":          {unix.IPPROTO_UDP, vip, "10.0.0.1:53", flows(vip, "10.0.0.1:53"), Flows{}, true},
		"TCP ends by itself":        {unix.IPPROTO_TCP, vip, "10.0.0.2:53", flows(vip, "10.0.0.2:53"), Flows{}, false},
		"not a service's":           {unix.IPPROTO_UDP, "192.0.2.1:53", "192.0.2.1:53", flows(vip), flows(vip), false},
	} {
		if got := (filter{c.old, c.now}).MatchConntrackFlow(remembered(c.protocol, c.to, c.by)); got != c.want {
			t.Errorf("%s: forgotten is %v", name, got)
		}
	}
}
