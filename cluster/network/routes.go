package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// route leads to a node's Pods by way of the node.
type route struct {
	subnet netip.Prefix
	via    netip.Addr
}

// protocol marks our routes in the kernel, so that stale ones are recognized: a number that iproute2 has not given away.
const protocol netlink.RouteProtocol = 77

// routesTo pairs a node's ranges with its internal addresses of the same family. Nodes without either have none.
func routesTo(node *corev1.Node) []route {
	var routes []route
	for _, cidr := range node.Spec.PodCIDRs {
		subnet, err := netip.ParsePrefix(cidr)
		if err != nil {
			continue // the API server refuses such nodes
		}
		for _, address := range node.Status.Addresses {
			via, err := netip.ParseAddr(address.Address)
			if address.Type == corev1.NodeInternalIP && err == nil && via.Is4() == subnet.Addr().Is4() {
				routes = append(routes, route{subnet, via})
				break
			}
		}
	}
	return routes
}

// syncRoutes makes the wanted routes and removes those of ours that are no longer wanted.
func syncRoutes(wanted []route) error {
	have, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	missing := map[route]bool{}
	for _, r := range wanted {
		missing[r] = true
	}
	var errs []error
	for i := range have {
		r, ok := asRoute(&have[i])
		if ok && missing[r] {
			delete(missing, r)
			continue
		}
		if err := netlink.RouteDel(&have[i]); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove route to %v: %w", have[i].Dst, err))
		}
	}
	for r := range missing {
		err := netlink.RouteReplace(&netlink.Route{
			Dst: &net.IPNet{IP: r.subnet.Addr().AsSlice(), Mask: net.CIDRMask(r.subnet.Bits(), r.subnet.Addr().BitLen())},
			Gw:  r.via.AsSlice(), Protocol: protocol,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("route to %s by way of %s: %w (are the nodes on one network?)", r.subnet, r.via, err))
		}
	}
	return errors.Join(errs...)
}

func asRoute(r *netlink.Route) (route, bool) {
	if r.Dst == nil {
		return route{}, false
	}
	address, ok := netip.AddrFromSlice(r.Dst.IP)
	via, hasVia := netip.AddrFromSlice(r.Gw)
	bits, _ := r.Dst.Mask.Size()
	return route{netip.PrefixFrom(address.Unmap(), bits), via.Unmap()}, ok && hasVia
}

// Remove takes back what Run left in the kernel: routes, the bridge and the masquerading rules.
func Remove(bridge string) error {
	err := syncRoutes(nil)
	if link, linkErr := netlink.LinkByName(bridge); linkErr == nil {
		err = errors.Join(err, netlink.LinkDel(link))
	}
	return errors.Join(err, RemoveMasquerade(tableName))
}
