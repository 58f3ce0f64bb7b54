package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// add is the CNI command ADD. Whatever it made is taken back if a later step fails.
func add(args *skel.CmdArgs) (err error) {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	pod, err := netns.GetFromPath(args.Netns)
	if err != nil {
		return types.NewError(types.ErrInvalidEnvironmentVariables, "opening the network namespace "+args.Netns, err.Error())
	}
	defer pod.Close()
	given, bridge, err := reserve(c, args)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, release(c, args.ContainerID, args.IfName))
		}
	}()
	host := hostName(args.ContainerID, args.IfName)
	if err := connect(c, bridge, host, args.IfName, pod, given); err != nil {
		return err
	}
	return types.PrintResult(result(c, args, host, given), c.CNIVersion)
}

// reserve leases the addresses, makes the bridge and sets the rules, all under the one lock.
func reserve(c *config, args *skel.CmdArgs) (*lease, netlink.Link, error) {
	l, err := openLeases(c.DataDir)
	if err != nil {
		return nil, nil, err
	}
	defer l.close()
	bridge, err := ensureBridge(c)
	if err != nil {
		return nil, nil, err
	}
	given, err := l.take(c, args.ContainerID, args.IfName)
	if err != nil {
		return nil, nil, err
	}
	if err := publish(c, l, given); err != nil {
		return nil, nil, errors.Join(err, l.free(given))
	}
	return given, bridge, nil
}

// connect makes the veth pair: one end a port of the bridge, the other in the pod, with addresses and routes.
func connect(c *config, bridge netlink.Link, host, inside string, pod netns.NsHandle, given *lease) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.MasterIndex = host, c.MTU, bridge.Attrs().Index
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: inside, PeerMTU: uint32(c.MTU), PeerNamespace: netlink.NsFd(pod),
		PeerHardwareAddr: hardwareAddress(given.Addresses[0]),
	}
	err := netlink.LinkAdd(pair)
	if errors.Is(err, unix.EEXIST) {
		// Left by an attempt that died: its name belongs to this attachment alone.
		if err = removeLink(host); err == nil {
			err = netlink.LinkAdd(pair)
		}
	}
	if err != nil {
		return fmt.Errorf("making the veth pair %s: %w", host, err)
	}
	// Hairpin: a pod may reach itself through a Service, so a frame may have to leave by the port it came in.
	if err := netlink.LinkSetHairpin(pair, true); err != nil {
		return fmt.Errorf("setting hairpin mode of %s: %w", host, err)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return fmt.Errorf("bringing up %s: %w", host, err)
	}
	return configurePod(c, inside, pod, given)
}

// configurePod works on the pod's side through a socket that was opened in its namespace; no thread changes over.
func configurePod(c *config, inside string, pod netns.NsHandle, given *lease) error {
	handle, err := netlink.NewHandleAt(pod, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening netlink in the pod: %w", err)
	}
	defer handle.Close()
	const loopback = 1 // the index of lo, in every namespace
	if err := handle.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: loopback}}); err != nil {
		return fmt.Errorf("bringing up lo: %w", err)
	}
	link, err := handle.LinkByName(inside)
	if err != nil {
		return fmt.Errorf("finding %s in the pod: %w", inside, err)
	}
	for i, a := range given.Addresses {
		if err := handle.AddrAdd(link, address(netip.PrefixFrom(a, c.Ranges[i].Bits()))); err != nil {
			return fmt.Errorf("adding %s to %s: %w", a, inside, err)
		}
	}
	if err := handle.LinkSetUp(link); err != nil {
		return fmt.Errorf("bringing up %s: %w", inside, err)
	}
	for _, to := range c.Routes {
		via, ok := gatewayFor(c, to.Addr())
		if !ok {
			continue // a route of a family that the pod has no address of
		}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: via.AsSlice(), Dst: ipNet(to)}
		if err := handle.RouteAdd(route); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("adding the route to %s: %w", to, err)
		}
	}
	return nil
}

// gatewayFor is the gateway of an address's family.
func gatewayFor(c *config, a netip.Addr) (netip.Addr, bool) {
	for _, r := range c.Ranges {
		if r.Addr().Is4() == a.Is4() {
			return gateway(r), true
		}
	}
	return netip.Addr{}, false
}

// hostName is the name of the host's end of an attachment's pair: it follows from the attachment, so that DEL finds it
// when nothing else is left.
func hostName(container, ifname string) string {
	sum := sha256.Sum256([]byte(key(container, ifname)))
	return "veth" + hex.EncodeToString(sum[:])[:11]
}

func result(c *config, args *skel.CmdArgs, host string, given *lease) *current.Result {
	r := &current.Result{
		CNIVersion: current.ImplementedSpecVersion,
		Interfaces: []*current.Interface{
			{Name: c.Bridge, Mac: hardwareAddress(gateway(c.Ranges[0])).String()},
			{Name: host},
			{Name: args.IfName, Mac: hardwareAddress(given.Addresses[0]).String(), Mtu: c.MTU, Sandbox: args.Netns},
		},
		DNS: c.DNS,
	}
	for i, a := range given.Addresses {
		r.IPs = append(r.IPs, &current.IPConfig{
			Interface: current.Int(2), Address: *ipNet(netip.PrefixFrom(a, c.Ranges[i].Bits())),
			Gateway: gateway(c.Ranges[i]).AsSlice(),
		})
	}
	for _, to := range c.Routes {
		if via, ok := gatewayFor(c, to.Addr()); ok {
			r.Routes = append(r.Routes, &types.Route{Dst: *ipNet(to), GW: via.AsSlice()})
		}
	}
	return r
}
