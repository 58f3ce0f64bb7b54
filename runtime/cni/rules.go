package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// The kernel rules of a network are one table, made only if there are host ports or masquerading:
//
//	table inet septet-cni-BRIDGE {
//	  map host4 { protocol . address . port : pod . port }    host ports of one address of the node
//	  map any4  { protocol . port : pod . port }              host ports of all its addresses; and host6, any6
//	  chain guard       prerouting, before all: nobody reaches the node's loopback through the bridge
//	  chain prerouting  to an address of the node: jump hostports          (and the same in output)
//	  chain hostports   dnat to host4[…], else any4[…]; mark it
//	  chain postrouting marked, and from a pod or the loopback: masquerade;
//	                    from a pod to outside the cluster: masquerade, if wanted
//	}
//
// A pod that comes back to its own bridge through a host port must be masqueraded: its peer would otherwise answer it
// directly, past the translation. The mark tells these from connections through Services, whose source is to be kept.
type rules struct {
	conn  *nftables.Conn
	table *nftables.Table
}

// markHostPort is the bit of a packet's mark that says: translated for a host port.
const markHostPort = 0x2000

// publish brings the rules to what the leases say, if the network has any.
func publish(c *config, l *leases, given *lease) error {
	if len(given.Ports) == 0 && !c.IPMasq {
		return nil
	}
	if err := apply(c, l, nil, len(given.Ports) > 0); err != nil {
		return fmt.Errorf("setting the rules of host ports and masquerading: %w", err)
	}
	if err := forgetConnections(given); err != nil {
		return fmt.Errorf("forgetting old UDP connections: %w", err)
	}
	return nil
}

// withdraw takes a lease's host ports out of the rules.
func withdraw(c *config, l *leases, given *lease) error {
	if len(given.Ports) == 0 {
		return nil
	}
	if err := apply(c, l, given, true); err != nil {
		return fmt.Errorf("removing host ports: %w", err)
	}
	return nil
}

// apply makes the table if it is missing or made for another configuration, and, if ports is set or it was made, fills
// the maps from all leases but one, in one transaction.
func apply(c *config, l *leases, without *lease, ports bool) error {
	r, err := rulesOf(c)
	if err != nil {
		return err
	}
	digest := c.rulesDigest()
	noted := filepath.Join(c.DataDir, "rules")
	made := false
	if old, err := os.ReadFile(noted); err != nil || string(old) != digest || !r.exists() {
		r.build(c)
		made = true
	}
	if !made && !ports {
		return nil
	}
	all, err := l.all()
	if err != nil {
		return err
	}
	if err := r.fill(all, without, !made); err != nil {
		return err
	}
	if err := r.conn.Flush(); err != nil {
		return err
	}
	if c.hasFamily(true) && ports {
		// Lets the node's own 127.0.0.1:port be translated to a pod; the chain guard keeps others from using it.
		if err := setting("/proc/sys/net/ipv4/conf/"+c.Bridge+"/route_localnet", "1"); err != nil {
			return err
		}
	}
	return os.WriteFile(noted, []byte(digest), 0o600)
}

// rulesDigest changes with whatever the table's chains are made from.
func (c *config) rulesDigest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "1 %s %v %v %v", c.Bridge, c.Ranges, c.IPMasq, c.NonMasqueradeCIDRs))
	return hex.EncodeToString(sum[:])
}

func (c *config) hasFamily(four bool) bool {
	for _, r := range c.Ranges {
		if r.Addr().Is4() == four {
			return true
		}
	}
	return false
}

// rulesOf opens the rules of a network; the kernel is not asked yet.
func rulesOf(c *config) (*rules, error) {
	conn, err := nftables.New()
	table := &nftables.Table{Name: "septet-cni-" + c.Bridge, Family: nftables.TableFamilyINet}
	return &rules{conn: conn, table: table}, err
}

func (r *rules) exists() bool {
	found, err := r.conn.ListTableOfFamily(r.table.Name, r.table.Family)
	return err == nil && found != nil
}

// removeRules removes a network's table, if there is one.
func removeRules(c *config) error {
	r, err := rulesOf(c)
	if err != nil {
		return err
	}
	if !r.exists() {
		return nil
	}
	r.conn.DelTable(r.table)
	if err := r.conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing the table %s: %w", r.table.Name, err)
	}
	return nil
}

// fill puts the host ports of leases into the maps, which are emptied first if they are not new.
func (r *rules) fill(all []*lease, without *lease, empty bool) error {
	elements := map[string][]nftables.SetElement{}
	for _, one := range all {
		if without != nil && one.Container == without.Container && one.Interface == without.Interface {
			continue
		}
		for _, p := range one.Ports {
			for _, a := range one.Addresses {
				if name, element, ok := mapping(p, a); ok {
					elements[name] = append(elements[name], element)
				}
			}
		}
	}
	for _, m := range hostPortMaps {
		set := m.set(r.table)
		if empty {
			r.conn.FlushSet(set)
		}
		if len(elements[m.name]) > 0 {
			if err := r.conn.SetAddElements(set, unique(elements[m.name])); err != nil {
				return err
			}
		}
	}
	return nil
}

// unique leaves the first of elements with the same key. Two pods on a node cannot have the same host port, but the end
// of one and the start of the next may overlap.
func unique(elements []nftables.SetElement) []nftables.SetElement {
	seen := map[string]bool{}
	kept := elements[:0]
	for _, e := range elements {
		if !seen[string(e.Key)] {
			seen[string(e.Key)] = true
			kept = append(kept, e)
		}
	}
	return kept
}

// mapping is the map and the element for one host port of one address; false if that address has no part in it.
func mapping(p portMapping, pod netip.Addr) (string, nftables.SetElement, bool) {
	number, err := protocolNumber(p.Protocol)
	if err != nil || p.HostPort == 0 {
		return "", nftables.SetElement{}, false
	}
	value := append(pod.AsSlice(), port(p.ContainerPort)...)
	suffix := "4"
	if !pod.Is4() {
		suffix = "6"
	}
	key := []byte{number, 0, 0, 0}
	host, err := netip.ParseAddr(p.HostIP)
	switch {
	case p.HostIP == "":
	case err != nil || host.Unmap().Is4() != pod.Is4():
		return "", nftables.SetElement{}, false
	case !host.IsUnspecified():
		key = append(append(key, host.Unmap().AsSlice()...), port(p.HostPort)...)
		return "host" + suffix, nftables.SetElement{Key: key, Val: value}, true
	}
	return "any" + suffix, nftables.SetElement{Key: append(key, port(p.HostPort)...), Val: value}, true
}

// port is a port number as it lies in a register: two bytes in network order, and padding.
func port(n int) []byte { return []byte{byte(n >> 8), byte(n), 0, 0} }
