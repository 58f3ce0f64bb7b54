package plan

import (
	"encoding/binary"
	"net/netip"
)

// Set is one of the named sets and maps of a table.
type Set uint8

// The sets. A destination is an address, a protocol and a port.
const (
	// Services sends destinations to their chains; Inside does for packets from inside where that makes a difference.
	Services Set = iota
	ServicesInside
	// IDs and IDsInside map destinations to groups of endpoints.
	IDs
	IDsInside
	// Endpoints maps a group and a number to the endpoint.
	Endpoints
	// Live are the endpoints of groups with session affinity; Affinity maps a group and a client to its endpoint, for a time. The kernel fills it.
	Live
	Affinity
	// NoEndpoints are destinations that nobody serves.
	NoEndpoints
	// ClusterIPs are those in use; ServiceRanges is where they are taken from.
	ClusterIPs
	ServiceRanges
	// Firewalled maps destinations to their allowed senders, which are in Allowed.
	Firewalled
	Allowed
	// PodRanges is where Pods are.
	PodRanges
	// Hairpin are pairs of a local endpoint's address and itself, Bridges of a bridge's index and itself.
	Hairpin
	Bridges
	// SetCount is the number of sets.
	SetCount
)

// names are the sets' names in the kernel.
var names = [SetCount]string{
	"services", "services-inside", "ids", "ids-inside", "endpoints", "live", "affinity", "no-endpoints",
	"cluster-ips", "service-ranges", "firewalled", "allowed", "pod-ranges", "hairpin", "bridges",
}

func (s Set) String() string { return names[s] }

// Element is one element of a set. It is comparable.
type Element struct {
	Set Set
	// Key as the kernel keeps it: fields padded to four bytes. End is the last key of a range, for sets of ranges.
	Key, End string
	// Value is the data of a map, Verdict the chain of a verdict map.
	Value, Verdict string
}

// key builds keys and values.
type key []byte

func (k key) addr(a netip.Addr) key { return append(k, a.AsSlice()...) }

func (k key) port(p uint16) key { return append(k, byte(p>>8), byte(p), 0, 0) }

func (k key) proto(p uint8) key { return append(k, p, 0, 0, 0) }

func (k key) id(id ID) key { return append(k, id[:]...) }

// number is in the order of this machine, as the kernel's own numbers in registers are.
func (k key) number(n uint32) key { return binary.NativeEndian.AppendUint32(k, n) }

// destination is the key of a packet's destination.
func destination(addr netip.Addr, protocol uint8, port uint16) string {
	return string(key{}.addr(addr).proto(protocol).port(port))
}

// last is the highest address of a prefix.
func last(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

// disjoint returns the prefixes of a family without those inside others, for sets whose ranges must not overlap.
func disjoint(prefixes []netip.Prefix, family Family) []netip.Prefix {
	var found []netip.Prefix
	for i, p := range prefixes {
		if !family.Has(p.Addr()) {
			continue
		}
		inside := false
		for j, other := range prefixes {
			if i != j && other.Bits() <= p.Bits() && other.Contains(p.Addr()) && (other.Bits() < p.Bits() || j < i) {
				inside = true
			}
		}
		if !inside {
			found = append(found, p.Masked())
		}
	}
	return found
}
