package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/cluster/network"
)

// Further nodes of one machine hang on a bridge. The machine itself is the first address of their range, and their gateway.
const (
	nodesBridge  = "septet-nodes"
	nodesRange   = "10.98.0.0/24"
	nodesGateway = "10.98.0.1"
	nodesTable   = "septet-nodes"
)

// neighbour is a further node of this machine: a network namespace with an agent in it.
type neighbour struct {
	index int // 2, 3, …: also the last part of its address
	name  string
	data  string
}

func (o *Options) neighbours() []neighbour {
	var all []neighbour
	for i := 2; i <= o.Nodes; i++ {
		name := fmt.Sprintf("%s-%d", o.NodeName, i)
		all = append(all, neighbour{index: i, name: name, data: filepath.Join(o.DataDir, "machines", name)})
	}
	return all
}

func (n neighbour) space() space { return space(filepath.Join(n.data, "netns")) }
func (n neighbour) address() string {
	return fmt.Sprintf("%s%d", strings.TrimSuffix(nodesGateway, "1"), n.index)
}
func (n neighbour) device() string { return "septet" + strconv.Itoa(n.index) }

// makeNodesNetwork makes the bridge on which further nodes hang, with this machine's address in it.
func makeNodesNetwork() error {
	link, err := netlink.LinkByName(nodesBridge)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		link = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: nodesBridge}}
		err = netlink.LinkAdd(link)
	}
	if err != nil {
		return fmt.Errorf("bridge %s: %w", nodesBridge, err)
	}
	prefix := netip.MustParsePrefix(nodesRange)
	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(nodesGateway), Mask: net.CIDRMask(prefix.Bits(), 32)}}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("address of bridge %s: %w", nodesBridge, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bridge %s: %w", nodesBridge, err)
	}
	return nil
}

// startNeighbours connects further nodes and starts their agents, where they do not run already.
func (s *server) startNeighbours(ctx context.Context) error {
	if s.Nodes < 2 {
		return nil
	}
	if err := network.Masquerade(nodesTable, []string{nodesRange}, []string{nodesRange, s.ClusterCIDR, s.ServiceCIDR}); err != nil {
		return fmt.Errorf("masquerade further nodes: %w", err)
	}
	for _, n := range s.neighbours() {
		if err := n.connect(); err != nil {
			return fmt.Errorf("network of node %s: %w", n.name, err)
		}
		if pid, err := runningPID(paths{data: n.data}); err == nil && pid != 0 {
			continue // it outlived an earlier server
		}
		token, err := createToken(ctx, s.api.Loopback, s.material.authority.Hash(), "node "+n.name+" of this machine", renewEvery)
		if err != nil {
			return err
		}
		if err := s.launch(n, token); err != nil {
			return fmt.Errorf("agent of node %s: %w", n.name, err)
		}
	}
	return nil
}

// connect makes the node's network namespace and a pair of devices into it; both may be there already.
func (n neighbour) connect() error {
	if there, err := n.space().exists(); there || err != nil {
		return err
	}
	made, err := n.space().make()
	if err != nil {
		return err
	}
	defer made.Close()
	if err := n.plug(made); err != nil {
		return err
	}
	return n.space().within(n.address4)
}

// plug makes the pair of devices, one end on the bridge. One that is there already leads into a namespace that is no more.
func (n neighbour) plug(space netns.NsHandle) error {
	bridge, err := netlink.LinkByName(nodesBridge)
	if err != nil {
		return err
	}
	if err := removeLink(n.device()); err != nil {
		return err
	}
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: n.device(), MasterIndex: bridge.Attrs().Index},
		PeerName:  "eth0", PeerNamespace: netlink.NsFd(int(space)),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	return netlink.LinkSetUp(pair)
}

// address4 gives the devices inside the namespace their addresses; it runs there.
func (n neighbour) address4() error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		if name == "lo" {
			continue
		}
		bits := netip.MustParsePrefix(nodesRange).Bits()
		address := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(n.address()), Mask: net.CIDRMask(bits, 32)}}
		if err := netlink.AddrAdd(link, address); err != nil {
			return err
		}
	}
	return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(nodesGateway)})
}

// launch starts the agent in the node's namespaces, as a process that outlives this one: its Pods must.
func (s *server) launch(n neighbour, token joinToken) error {
	if err := os.MkdirAll(n.data, 0o711); err != nil {
		return err
	}
	log, err := os.OpenFile(paths{data: n.data}.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	agent := exec.Command(self, "agent", "--data-dir", n.data, "--node-name", n.name, "--node-ip", n.address(),
		"--server", fmt.Sprintf("https://%s", net.JoinHostPort(nodesGateway, strconv.Itoa(s.Port))))
	agent.Env = append(os.Environ(), "SEPTET_TOKEN="+token.String())
	agent.Stdout, agent.Stderr = log, log
	agent.SysProcAttr = &unix.SysProcAttr{Setsid: true, Unshareflags: unix.CLONE_NEWNS}
	return n.space().within(func() error {
		// A child is born into the namespace of the thread that starts it.
		if err := agent.Start(); err != nil {
			return err
		}
		go func() {
			if err := agent.Wait(); err != nil {
				klog.ErrorS(err, "The agent of a further node ended", "node", n.name)
			}
		}()
		return nil
	})
}

// stopNeighbours ends the agents of further nodes in order; their Pods go on.
func (o *Options) stopNeighbours() {
	for _, n := range o.neighbours() {
		if pid, err := runningPID(paths{data: n.data}); err == nil && pid > 0 {
			if err := unix.Kill(pid, unix.SIGTERM); err != nil {
				klog.V(2).InfoS("Agent not ended", "node", n.name, "err", err)
			}
		}
	}
}
