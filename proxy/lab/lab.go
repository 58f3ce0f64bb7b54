// Package lab builds small networks out of real network namespaces for the proxy's tests: a node with a bridge and Pods on it, and a machine outside.
// It needs root; everything goes with the test.
package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Space is a network namespace.
type Space struct {
	t    testing.TB
	file *os.File
}

// NewSpace makes an empty namespace with its loopback up.
func NewSpace(t testing.TB) *Space {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	s := &Space{t: t}
	errs := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		errs <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			var err error
			s.file, err = os.Open("/proc/thread-self/ns/net")
			return err
		}()
	}()
	if err := <-errs; err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	t.Cleanup(func() { s.file.Close() })
	// Addresses are to be of use at once, link-local ones too: no looking for duplicates.
	for _, name := range []string{"net/ipv6/conf/all/accept_dad", "net/ipv6/conf/default/accept_dad", "net/ipv6/conf/default/dad_transmits"} {
		s.Set(name, "0")
	}
	s.Do(func() { s.up("lo") })
	return s
}

// Do runs f in the namespace, on a thread of its own. Sockets that f opens stay there.
func (s *Space) Do(f func()) {
	s.t.Helper()
	errs := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET)
		defer func() { errs <- err }()
		if err == nil {
			f()
		}
	}()
	if err := <-errs; err != nil {
		s.t.Fatal(err)
	}
}

func (s *Space) must(err error) {
	s.t.Helper()
	if err != nil {
		panic(fmt.Sprintf("lab: %v", err))
	}
}

func (s *Space) up(name string) netlink.Link {
	link, err := netlink.LinkByName(name)
	s.must(err)
	s.must(netlink.LinkSetUp(link))
	return link
}

// Address gives a device addresses ("10.1.0.1/24") and sets it up.
func (s *Space) Address(device string, addresses ...string) {
	s.Do(func() {
		link := s.up(device)
		for _, text := range addresses {
			address, err := netlink.ParseAddr(text)
			s.must(err)
			address.Flags = unix.IFA_F_NODAD
			s.must(netlink.AddrAdd(link, address))
			s.inUse(address.IP)
		}
	})
}

// inUse waits until the kernel takes packets for an address: for IPv6 it gets round to that some time after the address was added.
func (s *Space) inUse(ip net.IP) {
	for {
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_LOCAL}, netlink.RT_FILTER_TABLE)
		s.must(err)
		for _, route := range routes {
			if route.Type == unix.RTN_LOCAL && route.Dst != nil && route.Dst.IP.Equal(ip) {
				return
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Route sends everything by way of the gateways.
func (s *Space) Route(gateways ...string) {
	s.Do(func() {
		for _, gateway := range gateways {
			s.must(netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(gateway)}))
		}
	})
}

// Set writes a kernel setting of the namespace ("net/ipv4/ip_forward"); one that does not exist is left out.
func (s *Space) Set(name, value string) {
	s.Do(func() {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil && !os.IsNotExist(err) {
			s.must(err)
		}
	})
}

// Wire joins two namespaces by a pair of devices.
func Wire(a *Space, nameA string, b *Space, nameB string) {
	a.Do(func() {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = nameA
		a.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: nameB, PeerNamespace: netlink.NsFd(int(b.file.Fd()))}))
		a.up(nameA)
	})
	b.Do(func() { b.up(nameB) })
	a.Ready(nameA)
	b.Ready(nameB)
}

// Ready waits until devices are in operation: the kernel notices only now and then that a cable has been plugged in, and IPv6 does nothing before. Addresses
// are best given after that.
func (s *Space) Ready(devices ...string) {
	s.Do(func() {
		for _, device := range devices {
			for {
				link, err := netlink.LinkByName(device)
				s.must(err)
				if link.Attrs().OperState == netlink.OperUp {
					break
				}
				time.Sleep(2 * time.Millisecond)
			}
		}
	})
}

// Node is a machine with a bridge, a Pod network and a way to the outside.
type Node struct {
	*Space
	Outside *Space
	pods    int
}

// Addresses of the node, its bridge and the machine outside.
const (
	NodeIP, NodeIP6       = "192.168.7.1", "fd07::1"
	OutsideIP, OutsideIP6 = "192.168.7.2", "fd07::2"
	BridgeIP, BridgeIP6   = "10.1.0.1", "fd01::1"
)

// NewNode builds one. Without br_netfilter, as on many hosts, whatever this host has.
func NewNode(t testing.TB) *Node {
	t.Helper()
	n := &Node{Space: NewSpace(t), Outside: NewSpace(t)}
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		n.Set(name, "1")
	}
	for _, name := range []string{"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"} {
		n.Set(name, "0")
	}
	n.Do(func() {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = "br0"
		bridge := &netlink.Bridge{LinkAttrs: attributes}
		n.must(netlink.LinkAdd(bridge))
		// A bridge without ports is not in operation.
		attributes = netlink.NewLinkAttrs()
		attributes.Name, attributes.MasterIndex = "stub", bridge.Index
		n.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "stub-peer"}))
		for _, name := range []string{"br0", "stub", "stub-peer"} {
			n.up(name)
		}
	})
	n.Ready("br0")
	n.Address("br0", BridgeIP+"/24", BridgeIP6+"/64")
	Wire(n.Space, "eth0", n.Outside, "eth0")
	n.Address("eth0", NodeIP+"/24", NodeIP6+"/64")
	n.Outside.Address("eth0", OutsideIP+"/24", OutsideIP6+"/64")
	n.Route(OutsideIP, OutsideIP6)
	n.Outside.Route(NodeIP, NodeIP6)
	return n
}

// Pod adds one to the bridge: addresses 10.1.0.n and fd01::n, hairpin on as CNI plugins set it.
func (n *Node) Pod() (*Space, netip.Addr, netip.Addr) {
	n.t.Helper()
	n.pods++
	pod, device := NewSpace(n.t), fmt.Sprintf("pod%d", n.pods)
	Wire(n.Space, device, pod, "eth0")
	n.Do(func() {
		link := n.up(device)
		bridge := n.up("br0")
		n.must(netlink.LinkSetMaster(link, bridge))
		n.must(netlink.LinkSetHairpin(link, true))
	})
	v4, v6 := netip.AddrFrom4([4]byte{10, 1, 0, byte(n.pods + 1)}), netip.MustParseAddr(fmt.Sprintf("fd01::%x", n.pods+1))
	pod.Address("eth0", v4.String()+"/24", v6.String()+"/64")
	pod.Route(BridgeIP, BridgeIP6)
	return pod, v4, v6
}

// Serve answers each TCP connection and each UDP packet at the port with name and the address that it came from, until the test ends.
func (s *Space) Serve(name string, port uint16) {
	s.t.Helper()
	address := fmt.Sprintf(":%d", port)
	var tcp net.Listener
	var udp *net.UDPConn
	s.Do(func() {
		var err error
		tcp, err = net.Listen("tcp", address)
		s.must(err)
		udp, err = net.ListenUDP("udp", &net.UDPAddr{Port: int(port)})
		s.must(err)
	})
	s.t.Cleanup(func() { tcp.Close(); udp.Close() })
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			from, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			fmt.Fprintf(conn, "%s %s", name, from)
			conn.Close()
		}
	}()
	go func() {
		buffer := make([]byte, 16)
		for {
			_, from, err := udp.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			if _, err := udp.WriteToUDPAddrPort(fmt.Appendf(nil, "%s %s", name, from.Addr().Unmap()), from); err != nil {
				return
			}
		}
	}()
}

// patience is how long an answer may take; silence lasts it out.
const patience = 500 * time.Millisecond

// Ask connects to an address and returns who answered and whom the answerer saw.
func (s *Space) Ask(network, address string) (name, from string, err error) {
	s.t.Helper()
	s.Do(func() {
		var conn net.Conn
		if conn, err = net.DialTimeout(network, address, patience); err != nil {
			return
		}
		defer conn.Close()
		if err = conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return
		}
		if network == "udp" {
			if _, err = conn.Write([]byte("?")); err != nil {
				return
			}
		}
		buffer := make([]byte, 128)
		var n int
		if n, err = conn.Read(buffer); err == nil {
			_, err = fmt.Sscan(string(buffer[:n]), &name, &from)
		}
	})
	return name, from, err
}
