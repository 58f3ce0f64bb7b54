package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Device is the network device that holds the addresses of load balancers, so that the machine accepts packets for them
// and answers ARP.
type Device string

// Set makes the device have exactly these addresses, making the device itself when it is needed. It is an Announce function.
func (d Device) Set(addresses []netip.Addr) error {
	link, err := netlink.LinkByName(string(d))
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		if len(addresses) == 0 {
			return nil
		}
		link, err = d.create()
	}
	if err != nil {
		return fmt.Errorf("device %s for load balancers: %w", d, err)
	}
	have, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("addresses of device %s: %w", d, err)
	}
	wanted := map[netip.Addr]bool{}
	for _, address := range addresses {
		wanted[address] = true
	}
	for i := range have {
		address, ok := netip.AddrFromSlice(have[i].IP)
		address = address.Unmap()
		if ok && wanted[address] {
			delete(wanted, address)
			continue
		}
		if address.IsLinkLocalUnicast() {
			continue // the kernel's own
		}
		if err := netlink.AddrDel(link, &have[i]); err != nil {
			return fmt.Errorf("remove %s from device %s: %w", address, d, err)
		}
	}
	for address := range wanted {
		bits := address.BitLen()
		err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(bits, bits)}})
		if err != nil {
			return fmt.Errorf("add %s to device %s: %w", address, d, err)
		}
	}
	return nil
}

func (d Device) create() (netlink.Link, error) {
	// A bridge without ports: unlike dummy devices, bridges are in every kernel that can run Pods.
	link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: string(d)}}
	if err := netlink.LinkAdd(link); err != nil {
		return nil, err
	}
	return link, netlink.LinkSetUp(link)
}

// Remove deletes the device with all its addresses; it not being there is fine.
func (d Device) Remove() error {
	link, err := netlink.LinkByName(string(d))
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}
