package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// hostPortMap is one of the table's maps from host ports to pods.
type hostPortMap struct {
	name      string
	four      bool // IPv4
	toAddress bool // the key has the node's address in it
}

// hostPortMaps are in the order in which they are asked: a port of one address wins over a port of all.
var hostPortMaps = []hostPortMap{{"host4", true, true}, {"any4", true, false}, {"host6", false, true}, {"any6", false, false}}

func (m hostPortMap) set(t *nftables.Table) *nftables.Set {
	address := nftables.TypeIP6Addr
	if m.four {
		address = nftables.TypeIPAddr
	}
	key := nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService)
	if m.toAddress {
		key = nftables.MustConcatSetType(nftables.TypeInetProto, address, nftables.TypeInetService)
	}
	return &nftables.Set{
		Table: t, Name: m.name, IsMap: true, Concatenation: true,
		KeyType: key, DataType: nftables.MustConcatSetType(address, nftables.TypeInetService),
	}
}

// build makes the table anew; the transaction replaces an old one.
func (r *rules) build(c *config) {
	r.conn.AddTable(r.table)
	r.conn.DelTable(r.table)
	r.conn.AddTable(r.table)
	for _, m := range hostPortMaps {
		if err := r.conn.AddSet(m.set(r.table), nil); err != nil {
			panic("septet-cni: a map that cannot be: " + err.Error()) // the four are constants
		}
	}
	r.hostPorts()
	r.guard(c)
	r.masquerade(c)
}

func (r *rules) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
	chain := &nftables.Chain{Name: name, Table: r.table}
	if hook != nil {
		chain.Type, chain.Hooknum, chain.Priority = kind, hook, &priority
	}
	return r.conn.AddChain(chain)
}

func (r *rules) rule(chain *nftables.Chain, parts ...[]expr.Any) {
	var all []expr.Any
	for _, part := range parts {
		all = append(all, part...)
	}
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: chain, Exprs: all})
}

// guard drops what comes from the bridge for the node's loopback.
func (r *rules) guard(c *config) {
	chain := r.chain("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw)
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	r.rule(chain, incoming(c.Bridge), destination(loopback), verdict(expr.VerdictDrop, ""))
}

// hostPorts translates what is for a host port of this node, whether it comes from outside or from the node itself.
func (r *rules) hostPorts() {
	chain := r.chain("hostports", "", nil, 0)
	for _, m := range hostPortMaps {
		r.rule(chain, m.translate())
	}
	for name, hook := range map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting, "output": nftables.ChainHookOutput} {
		base := r.chain(name, nftables.ChainTypeNAT, hook, *nftables.ChainPriorityNATDest)
		r.rule(base, toThisNode(), verdict(expr.VerdictJump, "hostports"))
	}
}

// The 32-bit registers, in which concatenations lie side by side.
const (
	reg0    = unix.NFT_REG32_00
	regMark = unix.NFT_REG32_15
)

// translate looks up protocol, address (if it is in the key) and port, marks what is found, and translates it.
func (m hostPortMap) translate() []expr.Any {
	offset, length, words, version := uint32(24), uint32(16), uint32(4), byte(unix.NFPROTO_IPV6)
	if m.four {
		offset, length, words, version = 16, 4, 1, unix.NFPROTO_IPV4
	}
	parts := ofFamily(version)
	parts = append(parts, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg0})
	next := uint32(reg0 + 1)
	if m.toAddress {
		parts = append(parts, &expr.Payload{DestRegister: next, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length})
		next += words
	}
	return append(parts,
		&expr.Payload{DestRegister: next, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: reg0, DestRegister: reg0, IsDestRegSet: true, SetName: m.name},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: regMark},
		&expr.Bitwise{SourceRegister: regMark, DestRegister: regMark, Len: 4, Mask: mark(^uint32(markHostPort)), Xor: mark(markHostPort)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: regMark},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(version), RegAddrMin: reg0, RegProtoMin: reg0 + words},
	)
}

// masquerade hides pods behind the node where they would not be found, or where it is wanted.
func (r *rules) masquerade(c *config) {
	post := r.chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource)
	for _, pods := range append(c.Ranges, netip.MustParsePrefix("127.0.0.0/8")) {
		r.rule(post, marked(), source(pods), []expr.Any{&expr.Masq{FullyRandom: true}})
	}
	if !c.IPMasq {
		return
	}
	for _, pods := range c.Ranges {
		name, multicast := "leaving6", netip.MustParsePrefix("ff00::/8")
		if pods.Addr().Is4() {
			name, multicast = "leaving4", netip.MustParsePrefix("224.0.0.0/4")
		}
		chain := r.chain(name, "", nil, 0)
		for _, known := range append([]netip.Prefix{multicast}, c.NonMasqueradeCIDRs...) {
			if known.Addr().Is4() == pods.Addr().Is4() {
				r.rule(chain, destination(known), verdict(expr.VerdictReturn, ""))
			}
		}
		r.rule(chain, []expr.Any{&expr.Masq{FullyRandom: true}})
		r.rule(post, source(pods), verdict(expr.VerdictJump, name))
	}
}

func ofFamily(version byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{version}},
	}
}

func source(p netip.Prefix) []expr.Any { return addressIn(p, 12, 8) }

func destination(p netip.Prefix) []expr.Any { return addressIn(p, 16, 24) }

// addressIn matches an address of the packet, at the offset of its family's header, that is in a prefix.
func addressIn(p netip.Prefix, four, six uint32) []expr.Any {
	version, offset := byte(unix.NFPROTO_IPV6), six
	if p.Addr().Is4() {
		version, offset = unix.NFPROTO_IPV4, four
	}
	n := ipNet(p.Masked())
	length := uint32(len(n.IP))
	return append(ofFamily(version),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: n.Mask, Xor: make([]byte, length)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: n.IP})
}

func incoming(name string) []expr.Any {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: padded},
	}
}

// toThisNode matches what is for one of the node's own addresses.
func toThisNode() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

func marked() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mark(markHostPort), Xor: mark(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: mark(0)},
	}
}

func mark(bits uint32) []byte { return binaryutil.NativeEndian.PutUint32(bits) }

func verdict(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}

// protocolNumber is the IP protocol number of a port's protocol, in whatever case it is written.
func protocolNumber(name string) (byte, error) {
	switch strings.ToLower(name) {
	case "tcp":
		return unix.IPPROTO_TCP, nil
	case "udp":
		return unix.IPPROTO_UDP, nil
	case "sctp":
		return unix.IPPROTO_SCTP, nil
	}
	return 0, fmt.Errorf("portMappings: protocol %q is none of tcp, udp, sctp", name)
}
