package plan

import (
	"encoding/binary"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/proxy/state"
)

// Flows tells where packets of one protocol for a Service are sent: by destination, its endpoints (none: nobody serves). It is what connections that the kernel remembers
// are to be checked against.
func (p *Planner) Flows(name types.NamespacedName, protocol uint8) map[netip.AddrPort]map[netip.AddrPort]bool {
	planned := p.services[name]
	if planned == nil || !speaks(planned.service, protocol) {
		return nil
	}
	flows := map[netip.AddrPort]map[netip.AddrPort]bool{}
	for i := range planned.parts {
		parts := &planned.parts[i]
		for j := range parts.elements {
			element := &parts.elements[j]
			if element.Set != IDs && element.Set != IDsInside && element.Set != NoEndpoints {
				continue
			}
			to, with := parseDestination(element.Key)
			if with != protocol {
				continue
			}
			if flows[to] == nil {
				flows[to] = map[netip.AddrPort]bool{}
			}
			if element.Set == NoEndpoints {
				continue
			}
			for _, endpoint := range parts.orders[ID([]byte(element.Value))] {
				flows[to][endpoint] = true
			}
		}
	}
	return flows
}

func speaks(service *state.Service, protocol uint8) bool {
	for i := range service.Ports {
		if service.Ports[i].Protocol == protocol {
			return true
		}
	}
	return false
}

func parseDestination(key string) (netip.AddrPort, uint8) {
	bytes := []byte(key)
	at := len(bytes) - 8
	addr, _ := netip.AddrFromSlice(bytes[:at])
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(bytes[at+4:])), bytes[at]
}

// Wants says whether there is anything to do in a family for Services.
func (p *Planner) Wants(family Family) bool { return len(p.tables[family].elements) > 0 }
