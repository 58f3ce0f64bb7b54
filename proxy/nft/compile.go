package nft

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/septet-io/septet/proxy/plan"
)

// compiler turns rules into the kernel's expressions, which work on registers of four bytes. A key of several fields lies in neighbouring registers.
type compiler struct{ family plan.Family }

// register is the n-th of sixteen.
func register(n uint32) uint32 { return unix.NFT_REG32_00 + n }

// Places of registers. value is what a map yields or what is remembered of a client: in order an ID (2 registers), an address and a port.
// scratch is for keys that are needed only once; group is a group's ID, followed by what is looked up in it.
const (
	value   = 0
	target  = 2 // the address in value
	group   = 8
	scratch = 10
	member  = 10 // what follows the ID in group
)

// words is the number of registers of an address.
func (c compiler) words() uint32 {
	if c.family == plan.IPv6 {
		return 4
	}
	return 1
}

// Offsets of addresses in the IP header.
func (c compiler) source(to uint32) expr.Any {
	if c.family == plan.IPv6 {
		return &expr.Payload{DestRegister: register(to), Base: expr.PayloadBaseNetworkHeader, Offset: 8, Len: 16}
	}
	return &expr.Payload{DestRegister: register(to), Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4}
}

func (c compiler) target(to uint32) expr.Any {
	if c.family == plan.IPv6 {
		return &expr.Payload{DestRegister: register(to), Base: expr.PayloadBaseNetworkHeader, Offset: 24, Len: 16}
	}
	return &expr.Payload{DestRegister: register(to), Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}
}

// destination loads the key of the packet's destination: address, protocol, port.
func (c compiler) destination(to uint32) []expr.Any {
	return []expr.Any{
		c.target(to),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register(to + c.words())},
		&expr.Payload{DestRegister: register(to + c.words() + 1), Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
}

func find(set plan.Set, key, to uint32) expr.Any {
	return &expr.Lookup{SourceRegister: register(key), DestRegister: register(to), IsDestRegSet: true, SetName: set.String()}
}

func in(set plan.Set, key uint32) expr.Any {
	return &expr.Lookup{SourceRegister: register(key), SetName: set.String()}
}

func notIn(set plan.Set, key uint32) expr.Any {
	return &expr.Lookup{SourceRegister: register(key), SetName: set.String(), Invert: true}
}

// verdictOf looks a key up in a verdict map and does what it says.
func verdictOf(set plan.Set, key uint32) expr.Any {
	return &expr.Lookup{SourceRegister: register(key), DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true, SetName: set.String()}
}

func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// anyOf goes on if a register has one of the bits.
func anyOf(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Bitwise{SourceRegister: register(value), DestRegister: register(value), Len: 4, Mask: native(bits), Xor: native(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register(value), Data: native(0)},
	}
}

// Bits of the connection's state and status (linux/netfilter/nf_conntrack_common.h).
const (
	stateNew   = 1 << 3
	statusDNAT = 1 << 5
)

func connection(key expr.CtKey, bits uint32) []expr.Any {
	return append([]expr.Any{&expr.Ct{Key: key, Register: register(value)}}, anyOf(bits)...)
}

// setMark changes bits of the packet's mark: it keeps those in mask and then flips those in flip.
func setMark(mask, flip uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: register(value)},
		&expr.Bitwise{SourceRegister: register(value), DestRegister: register(value), Len: 4, Mask: native(mask), Xor: native(flip)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: register(value)},
	}
}

// inside goes on for packets that come (or, if not wanted, do not come) from Pods.
func (c compiler) inside(how plan.Inside, wanted bool) []expr.Any {
	op, lookup := expr.CmpOpEq, in
	if !wanted {
		op, lookup = expr.CmpOpNeq, notIn
	}
	switch {
	case how.CIDR:
		return []expr.Any{c.source(value), lookup(plan.PodRanges, value)}
	case how.Bridge != "":
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, how.Bridge)
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register(value)}, &expr.Cmp{Op: op, Register: register(value), Data: name}}
	}
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register(value)}, &expr.Cmp{Op: op, Register: register(value), Data: []byte(how.Prefix)}}
}

// send is the DNAT to the address and port that lie from the register at on.
func (c compiler) send(at uint32) expr.Any {
	family := uint32(unix.NFPROTO_IPV4)
	if c.family == plan.IPv6 {
		family = unix.NFPROTO_IPV6
	}
	return &expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: register(at), RegProtoMin: register(at + c.words())}
}

var hide = &expr.Masq{FullyRandom: true}

// reject answers port unreachable.
func (c compiler) reject() expr.Any {
	code := uint8(3)
	if c.family == plan.IPv6 {
		code = 4
	}
	return &expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: code}
}

// random is a random number below count.
func random(count uint32) expr.Any {
	return &expr.Numgen{Register: register(member), Modulus: count, Type: unix.NFT_NG_RANDOM}
}

var drop = &expr.Verdict{Kind: expr.VerdictDrop}

// join makes one list of lists.
func join(lists ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// rule compiles one rule.
func (c compiler) rule(r plan.Rule) []expr.Any {
	jump := []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: r.Chain}}
	switch r.Op {
	case plan.JumpNew:
		return join(connection(expr.CtKeySTATE, stateNew), jump)
	case plan.Jump:
		return jump
	case plan.Dispatch:
		return join(c.destination(value), []expr.Any{verdictOf(r.Set, value)})
	case plan.DispatchInside:
		return join(c.inside(r.Inside, true), c.destination(value), []expr.Any{verdictOf(r.Set, value)})
	case plan.DispatchLocal:
		local := []expr.Any{
			&expr.Fib{Register: register(value), ResultADDRTYPE: true, FlagSADDR: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: register(value), Data: native(unix.RTN_LOCAL)},
		}
		return join(local, c.destination(value), []expr.Any{verdictOf(r.Set, value)})
	case plan.Mark:
		return setMark(^r.Mark, r.Mark)
	case plan.MarkOutside:
		return join(c.inside(r.Inside, false), setMark(^r.Mark, r.Mark))
	case plan.Resume, plan.PickSticky, plan.Pick:
		return c.pick(r)
	case plan.GotoSet:
		return []expr.Any{c.target(value), in(r.Set, value), &expr.Verdict{Kind: expr.VerdictGoto, Chain: r.Chain}}
	case plan.DropRange:
		return []expr.Any{c.target(value), in(r.Set, value), drop}
	case plan.DropStrangers:
		return join(c.destination(value), []expr.Any{find(r.Set, value, group), c.source(member), notIn(plan.Allowed, group), drop})
	case plan.Reset:
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register(value)}, &expr.Cmp{Op: expr.CmpOpEq, Register: register(value), Data: []byte{unix.IPPROTO_TCP}},
			&expr.Reject{Type: unix.NFT_REJECT_TCP_RST},
		}
	case plan.Reject:
		return []expr.Any{c.reject()}
	case plan.Drop:
		return []expr.Any{drop}
	case plan.MasqueradeMarked:
		marked := join([]expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: register(value)}}, anyOf(r.Mark))
		return join(marked, setMark(^uint32(0), r.Mark), []expr.Any{hide})
	case plan.MasqueradeHairpin:
		return join(connection(expr.CtKeySTATUS, statusDNAT), []expr.Any{c.source(value), c.target(value + c.words()), in(r.Set, value), hide})
	case plan.MasqueradeBridged:
		return join(connection(expr.CtKeySTATUS, statusDNAT), []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIF, Register: register(value)}, &expr.Meta{Key: expr.MetaKeyOIF, Register: register(value + 1)}, in(r.Set, value), hide,
		})
	}
	panic(fmt.Sprintf("nft: rule with unknown operation %d", r.Op))
}

// pick compiles the rules that choose an endpoint.
func (c compiler) pick(r plan.Rule) []expr.Any {
	switch r.Op {
	case plan.Pick:
		return join(c.destination(value), []expr.Any{
			find(r.Set, value, group), random(r.Count), find(plan.Endpoints, group, target), c.send(target),
		})
	case plan.Resume:
		return join(c.destination(value), []expr.Any{
			find(r.Set, value, group), c.source(member), find(plan.Affinity, group, value), in(plan.Live, value),
			c.remember(unix.NFT_DYNSET_OP_UPDATE, r), c.send(target),
		})
	}
	// An update would leave the data of what is there as it is: delete it first.
	return join(c.destination(scratch), []expr.Any{
		find(r.Set, scratch, value), find(r.Set, scratch, group), random(r.Count), find(plan.Endpoints, group, target), c.source(member),
		c.remember(opDelete, r), c.remember(unix.NFT_DYNSET_OP_UPDATE, r), c.send(target),
	})
}

// opDelete is NFT_DYNSET_OP_DELETE.
const opDelete = 2

// remember changes the client's entry in the affinity map.
func (c compiler) remember(op uint32, r plan.Rule) expr.Any {
	return &expr.Dynset{
		SrcRegKey: register(group), SrcRegData: register(value), SetName: plan.Affinity.String(), Operation: op, Timeout: r.Timeout,
	}
}
