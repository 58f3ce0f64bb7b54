package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ensureBridge returns the network's bridge with its addresses, making what is missing. The caller holds the lock.
func ensureBridge(c *config) (netlink.Link, error) {
	link, err := netlink.LinkByName(c.Bridge)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return makeBridge(c)
	}
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", c.Bridge, err)
	}
	if link.Type() != "bridge" {
		return nil, fmt.Errorf("%s is a %s, not a bridge", c.Bridge, link.Type())
	}
	if link.Attrs().MTU != c.MTU {
		if err := netlink.LinkSetMTU(link, c.MTU); err != nil {
			return nil, fmt.Errorf("bridge %s: setting the MTU: %w", c.Bridge, err)
		}
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := netlink.LinkSetUp(link); err != nil {
			return nil, fmt.Errorf("bridge %s: %w", c.Bridge, err)
		}
	}
	return link, ensureGateways(c, link)
}

// makeBridge makes the bridge. Its hardware address is set, not taken from a port, for otherwise it would change with
// the pods that come and go, and every pod would send to the old one for a while.
func makeBridge(c *config) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = c.Bridge, c.MTU
	attrs.HardwareAddr = hardwareAddress(gateway(c.Ranges[0]))
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("making the bridge %s: %w", c.Bridge, err)
	}
	link, err := netlink.LinkByName(c.Bridge)
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", c.Bridge, err)
	}
	if c.hasFamily(false) {
		// Nobody else has this hardware address; detecting duplicates would only keep the node from asking for its
		// neighbours during the bridge's first two seconds.
		if err := setting("/proc/sys/net/ipv6/conf/"+c.Bridge+"/accept_dad", "0"); err != nil {
			return nil, err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("bridge %s: %w", c.Bridge, err)
	}
	if err := forward(c); err != nil {
		return nil, err
	}
	return link, ensureGateways(c, link)
}

// ensureGateways gives the bridge the first address of each range, and takes away what an earlier range left.
func ensureGateways(c *config, link netlink.Link) error {
	for _, r := range c.Ranges {
		want := netip.PrefixFrom(gateway(r), r.Bits())
		have, err := netlink.AddrList(link, family(r.Addr()))
		if err != nil {
			return fmt.Errorf("addresses of %s: %w", c.Bridge, err)
		}
		found := false
		for _, a := range have {
			switch p, ok := prefixOf(a.IPNet); {
			case ok && p == want:
				found = true
			case a.IP.IsLinkLocalUnicast():
			default:
				if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
					return fmt.Errorf("removing %s from %s: %w", a.IPNet, c.Bridge, err)
				}
			}
		}
		if found {
			continue
		}
		if err := netlink.AddrAdd(link, address(want)); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("adding %s to %s: %w", want, c.Bridge, err)
		}
	}
	return nil
}

// forward lets the node route between the bridge and the world.
func forward(c *config) error {
	for _, r := range c.Ranges {
		name := "/proc/sys/net/ipv4/ip_forward"
		if !r.Addr().Is4() {
			name = "/proc/sys/net/ipv6/conf/all/forwarding"
		}
		if err := setting(name, "1"); err != nil {
			return err
		}
	}
	return nil
}

// setting writes a kernel setting, unless it has the value already (it may be read-only then).
func setting(name, value string) error {
	old, err := os.ReadFile(name)
	if err == nil && strings.TrimSpace(string(old)) == value {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("this kernel has no %s", name)
	}
	return os.WriteFile(name, []byte(value), 0o644)
}

// hardwareAddress makes a MAC address from an IP address. Neighbours may go on using what they remember of an address
// when it is given to another pod.
func hardwareAddress(a netip.Addr) net.HardwareAddr {
	if a.Is4() {
		b := a.As4()
		return net.HardwareAddr{0x0a, 0x58, b[0], b[1], b[2], b[3]}
	}
	b := a.As16()
	return net.HardwareAddr{0x0a, 0x59, b[12], b[13], b[14], b[15]}
}

// address makes a netlink address. Duplicate address detection is off: the leases are what keeps addresses apart, and an
// address under detection cannot be used for a second.
func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if !p.Addr().Is4() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

func family(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}
