package network

import (
	"net"

	"github.com/vishvananda/netlink"
)

// MTU is that of the device with an address: Pods' packets leave through it. Zero if no device has it.
func MTU(address string) int {
	wanted := net.ParseIP(address)
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return 0 // the default will do
	}
	for i := range addresses {
		if !addresses[i].IP.Equal(wanted) {
			continue
		}
		if link, err := netlink.LinkByIndex(addresses[i].LinkIndex); err == nil {
			return link.Attrs().MTU
		}
	}
	return 0
}
