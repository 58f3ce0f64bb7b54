package main

import (
	"errors"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forgetConnections removes what connection tracking remembers of UDP to a lease's host ports: a client that goes on
// sending from the same port would otherwise be sent to the pod that had the host port before.
func forgetConnections(given *lease) error {
	for _, p := range given.Ports {
		if !strings.EqualFold(p.Protocol, "udp") || p.HostPort == 0 {
			continue
		}
		filter := &netlink.ConntrackFilter{}
		if err := filter.AddProtocol(unix.IPPROTO_UDP); err != nil {
			return err
		}
		if err := filter.AddPort(netlink.ConntrackOrigDstPort, uint16(p.HostPort)); err != nil {
			return err
		}
		for _, a := range given.Addresses {
			_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(family(a)), filter)
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
	}
	return nil
}
