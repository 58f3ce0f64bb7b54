package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// TestMain lets the test binary be the plugin too: a test runs itself.
func TestMain(m *testing.M) {
	if os.Getenv("CNI_COMMAND") != "" || len(os.Args) > 1 && os.Args[1] == "purge" {
		main()
		return
	}
	os.Exit(m.Run())
}

// node is a node's network namespace for a test, with a network.
type node struct {
	t      testing.TB
	ns     netns.NsHandle
	config map[string]any
}

func newNode(t testing.TB, change map[string]any) *node {
	t.Helper()
	n := &node{t: t, ns: namespace(t), config: map[string]any{
		"cniVersion": "1.1.0", "name": "pods", "type": "septet-cni", "bridge": "br0",
		"ranges": []string{"10.9.0.0/24", "fd09::/64"}, "dataDir": t.TempDir(),
	}}
	for key, value := range change {
		n.config[key] = value
	}
	n.in(n.ns, func() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return n
}

// namespace makes a network namespace that lives as long as its handle.
func namespace(t testing.TB) netns.NsHandle {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("must be root to make network namespaces")
	}
	made := make(chan netns.NsHandle)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		ns, err := netns.New()
		if err != nil {
			t.Error(err)
		}
		made <- ns
	}()
	ns := <-made
	if ns <= 0 {
		t.FailNow()
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// in calls f on a thread in a namespace.
func (n *node) in(ns netns.NsHandle, f func()) {
	n.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			n.t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// plugin runs the plugin for a command, and returns what it prints.
func (n *node) plugin(command, container string, pod netns.NsHandle, change map[string]any) (string, error) {
	n.t.Helper()
	input := map[string]any{}
	for _, from := range []map[string]any{n.config, change} {
		for key, value := range from {
			input[key] = value
		}
	}
	content, err := json.Marshal(input)
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID="+container, "CNI_IFNAME=eth0", "CNI_PATH=/",
		fmt.Sprintf("CNI_NETNS=/proc/%d/fd/%d", os.Getpid(), pod))
	cmd.Stdin = bytes.NewReader(content)
	var out []byte
	n.in(n.ns, func() { out, err = cmd.CombinedOutput() })
	return string(out), err
}

// attach adds a pod and returns its namespace and addresses.
func (n *node) attach(container string, change map[string]any) (netns.NsHandle, []net.IP) {
	n.t.Helper()
	pod := namespace(n.t)
	out, err := n.plugin("ADD", container, pod, change)
	if err != nil {
		n.t.Fatalf("ADD %s: %v: %s", container, err, out)
	}
	var result current.Result
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		n.t.Fatalf("ADD %s: %v: %s", container, err, out)
	}
	var ips []net.IP
	for _, ip := range result.IPs {
		ips = append(ips, ip.Address.IP)
	}
	return pod, ips
}

func (n *node) must(command, container string, pod netns.NsHandle, change map[string]any) {
	n.t.Helper()
	if out, err := n.plugin(command, container, pod, change); err != nil {
		n.t.Fatalf("%s %s: %v: %s", command, container, err, out)
	}
}

// ports is the runtime configuration for host ports.
func ports(mappings ...portMapping) map[string]any {
	return map[string]any{"runtimeConfig": map[string]any{"portMappings": mappings}}
}

// empty fails if anything of the network is left.
func (n *node) empty() {
	n.t.Helper()
	n.in(n.ns, func() {
		links, err := netlink.LinkList()
		if err != nil {
			n.t.Error(err)
		}
		for _, link := range links {
			if strings.HasPrefix(link.Attrs().Name, "veth") || link.Type() == "bridge" {
				n.t.Errorf("%s is left", link.Attrs().Name)
			}
		}
		c := &config{Bridge: "br0"}
		r, err := rulesOf(c)
		if err != nil {
			n.t.Error(err)
		} else if r.exists() {
			n.t.Error("the table is left")
		}
	})
	for _, sub := range []string{"ip", "id"} {
		left, err := filepath.Glob(filepath.Join(n.config["dataDir"].(string), sub, "*"))
		if err != nil || len(left) > 0 {
			n.t.Errorf("leases are left: %v, %v", left, err)
		}
	}
}
