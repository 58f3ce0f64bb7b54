package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// serve answers each TCP connection to an address of a namespace with the address that it comes from.
func (n *node) serve(ns netns.NsHandle, network, address string) {
	n.t.Helper()
	n.in(ns, func() {
		listener, err := net.Listen(network, address)
		if err != nil {
			n.t.Errorf("listening: %v", err)
			return
		}
		n.t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				from, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
				io.WriteString(conn, from)
				conn.Close()
			}
		}()
	})
}

// ask connects from a namespace and returns what it is told: its own address, as seen from the other side.
func (n *node) ask(ns netns.NsHandle, address string) (answer string, err error) {
	n.in(ns, func() {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", address, 5*time.Second); err != nil {
			return
		}
		defer conn.Close()
		var all []byte
		all, err = io.ReadAll(conn)
		answer = string(all)
	})
	return answer, err
}

func (n *node) expect(from netns.NsHandle, to, want string) {
	n.t.Helper()
	if got, err := n.ask(from, to); err != nil || got != want {
		n.t.Errorf("asking %s: %q, %v; want %q", to, got, err, want)
	}
}

func TestPodsReachEachOtherAndTheNode(t *testing.T) {
	t.Parallel()
	n := newNode(t, nil)
	a, addressesA := n.attach("a", nil)
	b, addressesB := n.attach("b", nil)
	if got := fmt.Sprint(addressesA, addressesB); got != "[10.9.0.2 fd09::2] [10.9.0.3 fd09::3]" {
		t.Errorf("addresses: %s", got)
	}
	n.serve(b, "tcp", ":80")
	n.serve(n.ns, "tcp", ":80")
	n.serve(a, "tcp", "127.0.0.1:81")
	n.expect(a, "10.9.0.3:80", "10.9.0.2")
	n.expect(a, "[fd09::3]:80", "fd09::2")
	n.expect(a, "10.9.0.1:80", "10.9.0.2")
	n.expect(n.ns, "[fd09::3]:80", "fd09::1")
	n.expect(a, "127.0.0.1:81", "127.0.0.1")
	n.must("CHECK", "a", a, map[string]any{"prevResult": map[string]any{
		"cniVersion": "1.1.0", "ips": []any{map[string]any{"address": "10.9.0.2/24", "interface": 2}},
	}})
	n.must("STATUS", "", 0, nil)
	n.must("DEL", "a", a, nil)
	n.must("DEL", "a", a, nil) // once more is no error
	n.must("DEL", "b", b, nil)
	n.in(n.ns, func() { removeLink("br0") })
	n.empty()
}

func TestCheckFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	n := newNode(t, nil)
	pod, _ := n.attach("a", nil)
	previous := map[string]any{"prevResult": map[string]any{"cniVersion": "1.1.0"}}
	n.must("CHECK", "a", pod, previous)
	n.in(n.ns, func() {
		link, err := netlink.LinkByName(hostName("a", "eth0"))
		if err == nil {
			err = netlink.LinkSetNoMaster(link)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if out, err := n.plugin("CHECK", "a", pod, previous); err == nil || !strings.Contains(out, "no port of br0") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := n.plugin("CHECK", "b", pod, previous); err == nil || !strings.Contains(out, "no lease") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestHostPorts(t *testing.T) {
	t.Parallel()
	n := newNode(t, nil)
	client, _ := n.attach("client", nil)
	server, _ := n.attach("server", ports(
		portMapping{HostPort: 8080, ContainerPort: 80, Protocol: "TCP"},
		portMapping{HostPort: 8081, ContainerPort: 80, Protocol: "tcp", HostIP: "127.0.0.1"}))
	n.serve(server, "tcp", ":80")
	n.expect(n.ns, "127.0.0.1:8080", "10.9.0.1")  // from the node, by its loopback
	n.expect(n.ns, "127.0.0.1:8081", "10.9.0.1")  // a port of one address
	n.expect(n.ns, "10.9.0.1:8080", "10.9.0.1")   // by another address
	n.expect(client, "10.9.0.1:8080", "10.9.0.1") // from a pod on the same bridge: masqueraded
	n.expect(server, "10.9.0.1:8080", "10.9.0.1") // from itself: hairpin
	n.expect(client, "[fd09::1]:8080", "fd09::1") // IPv6
	if got, err := n.ask(client, "10.9.0.1:8081"); err == nil {
		t.Errorf("a port of 127.0.0.1 answers on another address: %q", got)
	}
	world := n.world()
	n.expect(world, "192.0.2.1:8080", "192.0.2.2") // from outside, who sees the true source

	// A pod with the same port number for another address, and one that follows the first.
	other, _ := n.attach("other", ports(portMapping{HostPort: 8080, ContainerPort: 90, Protocol: "tcp", HostIP: "192.0.2.1"}))
	n.serve(other, "tcp", ":90")
	n.expect(world, "192.0.2.1:8080", "192.0.2.2")
	n.must("DEL", "server", server, nil)
	if got, err := n.ask(n.ns, "127.0.0.1:8080"); err == nil {
		t.Errorf("the host port of a removed pod answers %q", got)
	}
	n.expect(world, "192.0.2.1:8080", "192.0.2.2")

	n.purge()
	n.empty()
}

// world is a machine beside the node: the node is 192.0.2.1 there, and it is 192.0.2.2.
func (n *node) world() netns.NsHandle {
	n.t.Helper()
	world := namespace(n.t)
	n.in(n.ns, func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "uplink"
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(world)})
		if err == nil {
			err = addressUp("uplink", "192.0.2.1/24")
		}
		if err != nil {
			n.t.Error(err)
		}
	})
	n.in(world, func() {
		if err := addressUp("eth0", "192.0.2.2/24"); err != nil {
			n.t.Error(err)
		}
	})
	return world
}

func addressUp(name, cidr string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// purge runs the plugin's own subcommand.
func (n *node) purge() {
	n.t.Helper()
	content, err := json.Marshal(map[string]any{"name": n.config["name"], "cniVersion": "1.1.0", "plugins": []any{n.config}})
	if err != nil {
		n.t.Fatal(err)
	}
	file := filepath.Join(n.t.TempDir(), "pods.conflist")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.in(n.ns, func() {
		if err := purge([]string{file}); err != nil {
			n.t.Errorf("purge: %v", err)
		}
	})
}

func TestMasqueradeBeyondTheCluster(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]any{"ipMasq": true, "nonMasqueradeCIDRs": []string{"10.9.0.0/16", "fd09::/48"}})
	pod, _ := n.attach("a", nil)
	peer, _ := n.attach("b", nil)
	world := n.world()
	n.serve(world, "tcp4", ":80")
	n.serve(peer, "tcp4", ":80")
	n.expect(pod, "192.0.2.2:80", "192.0.2.1")
	n.expect(pod, "10.9.0.3:80", "10.9.0.2")
}

func TestUDPHostPortFollowsThePod(t *testing.T) {
	t.Parallel()
	n := newNode(t, nil)
	var client net.PacketConn
	n.in(n.ns, func() { client, _ = net.ListenPacket("udp4", "127.0.0.1:0") })
	defer client.Close()
	for _, name := range []string{"first", "second"} {
		pod, _ := n.attach(name, ports(portMapping{HostPort: 5353, ContainerPort: 53, Protocol: "udp"}))
		n.in(pod, func() {
			server, err := net.ListenPacket("udp4", ":53")
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { server.Close() })
			go func() {
				buffer := make([]byte, 100)
				for {
					_, from, err := server.ReadFrom(buffer)
					if err != nil {
						return
					}
					server.WriteTo([]byte(name), from)
				}
			}()
		})
		// The same socket, so the same connection to the kernel: it must be led to the new pod.
		if _, err := client.WriteTo([]byte("?"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5353}); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 100)
		client.SetReadDeadline(time.Now().Add(5 * time.Second))
		got, _, err := client.ReadFrom(buffer)
		if err != nil || string(buffer[:got]) != name {
			t.Fatalf("answer %q, %v; want %s", buffer[:got], err, name)
		}
		n.must("DEL", name, pod, nil)
	}
}

func TestAddressesAreUniqueAndComeBackLate(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]any{"ranges": []string{"10.9.0.0/28"}}) // 13 pods
	var wait sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]string{}
	pods := map[string]netns.NsHandle{}
	for i := range 13 {
		name := fmt.Sprint("pod", i)
		pods[name] = namespace(t)
		wait.Go(func() {
			out, err := n.plugin("ADD", name, pods[name], nil)
			if err != nil {
				t.Errorf("%v: %s", err, out)
				return
			}
			var result struct{ IPs []struct{ Address string } }
			if err := json.Unmarshal([]byte(out), &result); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if other := seen[result.IPs[0].Address]; other != "" {
				t.Errorf("%s and %s both have %s", name, other, result.IPs[0].Address)
			}
			seen[result.IPs[0].Address] = name
		})
	}
	wait.Wait()
	extra := namespace(t)
	if out, err := n.plugin("ADD", "extra", extra, nil); err == nil || !strings.Contains(out, "every address of 10.9.0.0/28 is in use") {
		t.Errorf("the range is full: %v: %s", err, out)
	}
	// GC: the runtime knows but one pod; the others' addresses come free.
	n.must("GC", "", 0, map[string]any{"cni.dev/valid-attachments": []any{map[string]any{"containerID": "pod3", "ifname": "eth0"}}})
	_, got := n.attach("extra", nil)
	if seen[got[0].String()+"/28"] == "pod3" {
		t.Errorf("%s is in use, and was given out", got[0])
	}
}

func TestLeasesOfAnotherBootAreVoid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := parse([]byte(`{"cniVersion":"1.0.0","name":"n","type":"septet-cni","ranges":["10.9.0.0/24"],"dataDir":"` + dir + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	take := func(container string) string {
		l, err := openLeases(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		given, err := l.take(c, container, "eth0")
		if err != nil {
			t.Fatal(err)
		}
		return given.Addresses[0].String()
	}
	if got := take("a"); got != "10.9.0.2" {
		t.Errorf("first address %s", got)
	}
	// A process that died between address and lease leaves an address that counts as free, in its turn.
	if err := os.WriteFile(filepath.Join(dir, "ip", "10.9.0.3"), []byte("dead.eth0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := take("b"); got != "10.9.0.3" {
		t.Errorf("second address %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "boot"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := take("a"); got != "10.9.0.2" {
		t.Errorf("after a reboot: %s", got)
	}
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"ranges: none":      `{}`,
		"second of its IP":  `{"ranges":["10.0.0.0/24","10.1.0.0/24"]}`,
		"no room":           `{"ranges":["10.0.0.0/31"]}`,
		"more than 15":      `{"ranges":["10.0.0.0/24"],"bridge":"0123456789abcdef"}`,
		"mtu":               `{"ranges":["10.0.0.0/24"],"mtu":10}`,
		"none of tcp":       `{"ranges":["10.0.0.0/24"],"runtimeConfig":{"portMappings":[{"hostPort":1,"containerPort":1,"protocol":"icmp"}]}}`,
		"port out of range": `{"ranges":["10.0.0.0/24"],"runtimeConfig":{"portMappings":[{"hostPort":70000,"containerPort":1}]}}`,
		"invalid CIDR":      `{"ranges":["10.0.0.0"]}`,
		"hostIP":            `{"ranges":["10.0.0.0/24"],"runtimeConfig":{"portMappings":[{"hostPort":1,"containerPort":1,"hostIP":"x"}]}}`,
	} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// BenchmarkAttach is what a pod's start pays for its network: one ADD and one DEL, each a process.
func BenchmarkAttach(b *testing.B) {
	n := newNode(b, nil)
	var add, del time.Duration
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprint("pod", i)
		b.StopTimer()
		pod := namespace(b)
		b.StartTimer()
		begin := time.Now()
		n.must("ADD", name, pod, nil)
		middle := time.Now()
		n.must("DEL", name, pod, nil)
		add += middle.Sub(begin)
		del += time.Since(middle)
	}
	b.ReportMetric(float64(add.Microseconds())/1000/float64(b.N), "add-ms")
	b.ReportMetric(float64(del.Microseconds())/1000/float64(b.N), "del-ms")
}
