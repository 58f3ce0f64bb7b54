package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"k8s.io/klog/v2"
)

// machine follows this machine's addresses and bridges.
type machine struct {
	env *environment
	// addresses are those in use and the devices that have them; bridges are indices of bridges.
	addresses map[address]map[int]bool
	bridges   map[int]bool
}

// followMachine looks at the machine now, and from then on whenever the kernel tells of a change, until ctx ends.
func followMachine(ctx context.Context, env *environment) error {
	m := &machine{env: env}
	follow, err := m.begin(ctx)
	if err != nil {
		return err
	}
	go func() {
		for {
			follow()
			// The kernel has more to say than fits: what was lost is seen by looking anew.
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(again):
				}
				if follow, err = m.begin(ctx); err == nil {
					break
				}
				klog.FromContext(ctx).Error(err, "Changes of network devices are not seen")
			}
		}
	}()
	return nil
}

const (
	// again is when to begin anew after the kernel's events have been lost.
	again = time.Second
	// eventBuffer holds the kernel's events until they are read.
	eventBuffer = 1 << 20
)

// begin subscribes to the kernel's events and takes stock. In this order: what comes in between is seen twice, not missed. follow takes the events until they are lost or
// ctx ends.
func (m *machine) begin(ctx context.Context) (follow func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	links, addresses := make(chan netlink.LinkUpdate, 64), make(chan netlink.AddrUpdate, 64)
	lost := func(err error) {
		if ctx.Err() == nil {
			klog.FromContext(ctx).V(2).Info("Events of network devices were lost", "err", err)
		}
	}
	m.addresses, m.bridges = map[address]map[int]bool{}, map[int]bool{}
	if err := errors.Join(
		netlink.LinkSubscribeWithOptions(links, ctx.Done(), netlink.LinkSubscribeOptions{ErrorCallback: lost, ReceiveBufferSize: eventBuffer, ReceiveBufferForceSize: true}),
		netlink.AddrSubscribeWithOptions(addresses, ctx.Done(), netlink.AddrSubscribeOptions{ErrorCallback: lost, ReceiveBufferSize: eventBuffer, ReceiveBufferForceSize: true}),
		m.look(),
	); err != nil {
		cancel()
		return nil, fmt.Errorf("network devices: %w", err)
	}
	return func() {
		m.run(links, addresses)
		cancel()
		// Whoever still has events to deliver must not wait for ever.
		go drain(links)
		go drain(addresses)
	}, nil
}

func drain[T any](events <-chan T) {
	for range events {
	}
}

// look takes stock.
func (m *machine) look() error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("network devices: %w", err)
	}
	for _, link := range links {
		if link.Type() == "bridge" {
			m.bridges[link.Attrs().Index] = true
		}
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("network addresses: %w", err)
	}
	for _, address := range addresses {
		m.address(*address.IPNet, address.LinkIndex, true)
	}
	m.publish()
	return nil
}

// address notes that a device has an address, or no longer.
func (m *machine) address(network net.IPNet, device int, there bool) {
	addr, ok := netip.AddrFromSlice(network.IP)
	if !ok {
		return
	}
	ones, bits := network.Mask.Size()
	a := address{Addr: addr.Unmap(), single: ones == bits}
	if m.addresses[a] == nil {
		m.addresses[a] = map[int]bool{}
	}
	if m.addresses[a][device] = true; !there {
		delete(m.addresses[a], device)
	}
	if len(m.addresses[a]) == 0 {
		delete(m.addresses, a)
	}
}

// run takes events until one of the channels is closed.
func (m *machine) run(links chan netlink.LinkUpdate, addresses chan netlink.AddrUpdate) {
	for {
		select {
		case update, ok := <-links:
			if !ok {
				return
			}
			if update.Link == nil || update.Link.Type() != "bridge" {
				continue
			}
			index := update.Link.Attrs().Index
			if m.bridges[index] = true; update.Header.Type == rtmDelLink {
				delete(m.bridges, index)
			}
		case update, ok := <-addresses:
			if !ok {
				return
			}
			m.address(update.LinkAddress, update.LinkIndex, update.NewAddr)
		}
		m.publish()
	}
}

// rtmDelLink is RTM_DELLINK.
const rtmDelLink = 17

// publish tells the environment, in a fixed order.
func (m *machine) publish() {
	addresses := make([]address, 0, len(m.addresses))
	for a := range m.addresses {
		addresses = append(addresses, a)
	}
	slices.SortFunc(addresses, func(a, b address) int { return a.Compare(b.Addr) })
	var bridges []uint32
	// Where the firewall sees what bridges pass from port to port, answers find their way by themselves.
	if !firewalled() {
		for index := range m.bridges {
			bridges = append(bridges, uint32(index))
		}
		slices.Sort(bridges)
	}
	m.env.setMachine(addresses, bridges)
}

// firewalled says whether br_netfilter is at work in this network namespace.
func firewalled() bool {
	data, err := os.ReadFile("/proc/sys/net/bridge/bridge-nf-call-iptables")
	return err == nil && strings.TrimSpace(string(data)) == "1"
}
