package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// check is the CNI command CHECK: it fails with what is missing of an attachment.
func check(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	if c.previous == nil {
		return errors.New("CHECK needs prevResult")
	}
	l, err := openLeases(c.DataDir)
	if err != nil {
		return err
	}
	given, err := l.find(args.ContainerID, args.IfName)
	l.close()
	if err != nil {
		return err
	}
	if given == nil {
		return fmt.Errorf("container %s has no lease", args.ContainerID)
	}
	if err := checkHost(c, hostName(args.ContainerID, args.IfName)); err != nil {
		return err
	}
	return checkPod(c, args, given)
}

func checkHost(c *config, name string) error {
	bridge, err := netlink.LinkByName(c.Bridge)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", c.Bridge, err)
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("host's end %s: %w", name, err)
	}
	if link.Attrs().MasterIndex != bridge.Attrs().Index {
		return fmt.Errorf("%s is no port of %s", name, c.Bridge)
	}
	return nil
}

func checkPod(c *config, args *skel.CmdArgs, given *lease) error {
	pod, err := netns.GetFromPath(args.Netns)
	if err != nil {
		return fmt.Errorf("opening the network namespace %s: %w", args.Netns, err)
	}
	defer pod.Close()
	handle, err := netlink.NewHandleAt(pod, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer handle.Close()
	link, err := handle.LinkByName(args.IfName)
	if err != nil {
		return fmt.Errorf("%s in the pod: %w", args.IfName, err)
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("%s in the pod is down", args.IfName)
	}
	have, err := handle.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for i, a := range given.Addresses {
		want := netip.PrefixFrom(a, c.Ranges[i].Bits())
		found := false
		for _, h := range have {
			p, ok := prefixOf(h.IPNet)
			found = found || ok && p == want
		}
		if !found {
			return fmt.Errorf("%s in the pod does not have the address %s", args.IfName, want)
		}
	}
	for _, ip := range c.previous.IPs {
		found := false
		for i, a := range given.Addresses {
			p, ok := prefixOf(&ip.Address)
			found = found || ok && p == netip.PrefixFrom(a, c.Ranges[i].Bits())
		}
		if ip.Interface != nil && *ip.Interface == 2 && !found {
			return fmt.Errorf("the previous result's address %s is not leased", &ip.Address)
		}
	}
	return nil
}
