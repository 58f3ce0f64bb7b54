// Package plan decides which kernel rules a node needs for the cluster's Services. It is pure: from Services (package state) and an Environment it makes the
// wanted content of one nftables table for each IP family, as values; package nft puts them into the kernel.
//
// The rules are few and do not grow with the Services; what grows are elements of named maps, which the kernel finds by hash:
//
//	packet to 10.96.0.10:53/udp
//	  services   10.96.0.10 . udp . 53        -> goto pick-3        (the Service has 3 endpoints)
//	  pick-3:    ids        10.96.0.10 . udp . 53 -> 0x8d…          which group of endpoints
//	             numgen random mod 3              -> 1
//	             endpoints  0x8d… . 1             -> 10.0.1.7 . 53  to which it is sent
//
// A random number needs its bound when the rule is made; that is why there is a chain for each number of endpoints that occurs, not for each Service.
// Replacing an endpoint changes one element; one more or less changes that and one element for each address of the Service.
package plan

import (
	"net/netip"
	"time"
)

// Family is an IP family; each has its own table.
type Family uint8

// The families.
const (
	IPv4 Family = iota
	IPv6
)

// Families are all, in order.
var Families = [...]Family{IPv4, IPv6}

func (f Family) String() string { return [...]string{"ip", "ip6"}[f] }

// Has says whether an address is of the family.
func (f Family) Has(addr netip.Addr) bool { return addr.Is4() == (f == IPv4) }

// Environment is what the rules depend on besides the Services.
type Environment struct {
	Config
	// Zone is this node's, for topology hints.
	Zone string
	// NodePortIPs are the addresses of this node on which node ports are open.
	NodePortIPs []netip.Addr
	// PodCIDRs are where this cluster's (or, as configured, this node's) Pods are; they count as inside.
	PodCIDRs []netip.Prefix
	// ServiceCIDRs are where cluster IPs are taken from: packets to those that are not in use are dropped.
	ServiceCIDRs []netip.Prefix
	// Bridges are the indices of bridges whose traffic between their own ports bypasses the firewall (no br_netfilter). What
	// comes from such a bridge and is sent back into it must look as if it came from this node, or the answer would go
	// straight back with the wrong sender.
	Bridges []uint32
}

// Config does not change while the proxy runs.
type Config struct {
	Node string
	// MasqueradeAll hides the sender of everything that is sent to an endpoint.
	MasqueradeAll bool
	// MasqueradeMark is the bit of the packet mark that asks for it.
	MasqueradeMark uint32
	// Inside is how packets from Pods are recognized.
	Inside Inside
}

// Inside is a way to tell packets of Pods from others.
type Inside struct {
	// CIDR: by the sender's address, which is in PodCIDRs.
	CIDR bool
	// Bridge: by the device they come in by. Prefix: by the beginning of its name.
	Bridge, Prefix string
}

// Known says whether there is any way.
func (i Inside) Known() bool { return i != Inside{} }

// Op is what a rule does.
type Op uint8

// The operations. Every rule of every table is one of them.
const (
	// JumpNew jumps to Chain for packets that begin a connection.
	JumpNew Op = iota
	// Jump jumps to Chain.
	Jump
	// DispatchInside looks up what comes from Pods or this node itself in the verdict map Set; DispatchLocal only what comes from this node.
	DispatchInside
	DispatchLocal
	// Dispatch looks every packet up in the verdict map Set.
	Dispatch
	// Mark asks for masquerade; MarkOutside does for packets that do not come from Pods.
	Mark
	MarkOutside
	// Resume returns to an earlier endpoint (session affinity), if the client has one that still serves; Set maps the packet to its group.
	Resume
	// PickSticky sends to a random one of Count endpoints and remembers it for Timeout; Pick only sends.
	PickSticky
	Pick
	// GotoSet goes to Chain with packets whose destination's address is in Set, DropRange drops those.
	GotoSet
	DropRange
	// DropStrangers drops packets to a firewalled address from a sender that it does not allow.
	DropStrangers
	// Reset and Reject answer that nobody is there, Reset to TCP only; Drop says nothing.
	Reset
	Reject
	Drop
	// MasqueradeMarked, MasqueradeHairpin and MasqueradeBridged hide the sender: of what has the mark, of what an endpoint sends to itself, and of what goes
	// back into the bridge it came from.
	MasqueradeMarked
	MasqueradeHairpin
	MasqueradeBridged
)

// Rule is one rule. It is comparable; which fields count depends on Op.
type Rule struct {
	Op      Op
	Chain   string
	Set     Set
	Count   uint32
	Timeout time.Duration
	Inside  Inside
	Mark    uint32
}

// Hook is where a base chain is called; the zero value is a chain that is only jumped to.
type Hook struct {
	// NAT or filter chain, at one of the kernel's five points.
	NAT      bool
	Point    Point
	Priority int
}

// Point is a netfilter hook; none for chains that are only jumped to.
type Point uint8

// The points.
const (
	NoPoint Point = iota
	Prerouting
	Input
	Forward
	Output
	Postrouting
)

// Chain is one chain with all its rules.
type Chain struct {
	Name  string
	Hook  Hook
	Rules []Rule
}
