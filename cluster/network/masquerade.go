package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is that of the nftables table for Pods; kube-proxy has its own.
const tableName = "septet-network"

// Masquerade lets the members of a network reach the outside under the node's address: whatever comes from its own ranges
// and goes neither to the cluster's nor to a multicast group. The table of that name is replaced in one transaction.
func Masquerade(tableName string, own, cluster []string) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
	conn.AddTable(table) // so that deleting it cannot fail
	conn.DelTable(table)
	conn.AddTable(table)
	chain := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	for _, cidr := range own {
		from, err := netip.ParsePrefix(cidr)
		if err != nil {
			return fmt.Errorf("pod range %q: %w", cidr, err)
		}
		match := matchPrefix(from, true, expr.CmpOpEq)
		for _, cidr := range cluster {
			to, err := netip.ParsePrefix(cidr)
			if err != nil {
				return fmt.Errorf("cluster range %q: %w", cidr, err)
			}
			if to.Addr().Is4() == from.Addr().Is4() {
				match = append(match, matchPrefix(to, false, expr.CmpOpNeq)[2:]...)
			}
		}
		multicast := netip.MustParsePrefix("224.0.0.0/4")
		if from.Addr().Is6() {
			multicast = netip.MustParsePrefix("ff00::/8")
		}
		match = append(match, matchPrefix(multicast, false, expr.CmpOpNeq)[2:]...)
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(match, &expr.Masq{FullyRandom: true})})
	}
	return conn.Flush()
}

// matchPrefix compares a packet's source or destination with a prefix. The first two expressions check the IP family.
func matchPrefix(prefix netip.Prefix, source bool, op expr.CmpOp) []expr.Any {
	family, offset, size := byte(unix.NFPROTO_IPV4), uint32(16), uint32(4)
	if source {
		offset = 12
	}
	if prefix.Addr().Is6() {
		family, offset, size = unix.NFPROTO_IPV6, 24, 16
		if source {
			offset = 8
		}
	}
	mask := make([]byte, size)
	for i := range prefix.Bits() {
		mask[i/8] |= 1 << (7 - i%8)
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: op, Register: 1, Data: prefix.Masked().Addr().AsSlice()},
	}
}

// RemoveMasquerade deletes a table of Masquerade; it not being there is fine.
func RemoveMasquerade(tableName string) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	conn.DelTable(&nftables.Table{Name: tableName, Family: nftables.TableFamilyINet})
	if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove nftables table %s: %w", tableName, err)
	}
	return nil
}
