// Package conntrack keeps the kernel's memory of connections from outliving what it remembers. UDP has no end of a connection: a client that goes on
// sending to a Service would go on being sent to an endpoint that is gone.
package conntrack

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Flows are endpoints by destination.
type Flows map[netip.AddrPort]map[netip.AddrPort]bool

// Add takes in more destinations, and more endpoints of those that are there.
func (f Flows) Add(more map[netip.AddrPort]map[netip.AddrPort]bool) {
	for to, endpoints := range more {
		if f[to] == nil {
			f[to] = map[netip.AddrPort]bool{}
		}
		for endpoint := range endpoints {
			f[to][endpoint] = true
		}
	}
}

// Stale says whether a change from old to now leaves anything to forget: an endpoint has gone, or the first has come.
func Stale(old, now Flows) bool {
	for to, before := range old {
		for endpoint := range before {
			if !now[to][endpoint] {
				return true
			}
		}
	}
	for to, endpoints := range now {
		if len(endpoints) > 0 && len(old[to]) == 0 {
			return true
		}
	}
	return false
}

// Clean forgets UDP connections to the destinations of old and now that are not to one of now's endpoints. It returns how many.
func Clean(old, now Flows) (int, error) {
	total := 0
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		if !concerns(old, now, family) {
			continue
		}
		n, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter{old, now})
		total += int(n)
		if err != nil {
			return total, fmt.Errorf("remembered connections: %w", err)
		}
	}
	return total, nil
}

func concerns(old, now Flows, family netlink.InetFamily) bool {
	for _, flows := range []Flows{old, now} {
		for to := range flows {
			if to.Addr().Is4() == (family == unix.AF_INET) {
				return true
			}
		}
	}
	return false
}

// filter picks the connections to forget.
type filter struct{ old, now Flows }

// MatchConntrackFlow is called for each remembered connection.
func (f filter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	to, from := addrPort(flow.Forward.DstIP, flow.Forward.DstPort), addrPort(flow.Reverse.SrcIP, flow.Reverse.SrcPort)
	endpoints, wanted := f.now[to]
	if !wanted {
		// The destination is no longer a Service's: only what was sent on is wrong.
		_, was := f.old[to]
		return was && from != to
	}
	return !endpoints[from] && (from != to || len(endpoints) > 0)
}

func addrPort(ip net.IP, port uint16) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), port)
}
