package containerd

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/test/images"
)

// nodeNamespace makes a named network namespace for a node and returns its path.
func nodeNamespace(t testing.TB, name string) string {
	t.Helper()
	onOwnThread(func() {
		ns, err := netns.NewNamed(name)
		if err == nil {
			err = ns.Close()
		}
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { netns.DeleteNamed(name) })
	return filepath.Join("/run/netns", name)
}

// inNode calls f in the node's network namespace.
func inNode(t testing.TB, path string, f func() error) {
	t.Helper()
	if err := inNetNS(path, f); err != nil {
		t.Error(err)
	}
}

// networkNode starts a node in a network namespace of its own, with a pod network and the busybox image.
func networkNode(t testing.TB) (*Runtime, cri) {
	t.Helper()
	config := testConfig(t)
	config.NetNS = nodeNamespace(t, config.NodeName)
	r := start(t, config)
	inNode(t, config.NetNS, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	list := `{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"septet-cni","bridge":"pods0",
		"ranges":["10.77.0.0/24","fd77::/64"],"capabilities":{"portMappings":true}}]}`
	if err := os.WriteFile(filepath.Join(r.CNIConfDir(), "10-pods.conflist"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	client := dial(t, r)
	if _, err := r.ImportImage(t.Context(), images.Busybox(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return networkReady(t, client) })
	return r, client
}

// Pods of a node in a network namespace of its own get addresses, reach each other, and are reached by host ports; a
// purge removes their network with them.
func TestPodNetwork(t *testing.T) {
	t.Parallel()
	r, client := networkNode(t)
	config := r.config
	server, serverIPs := networkPod(t, client, config, "server", &runtimeapi.PortMapping{HostPort: 8080, ContainerPort: 80})
	visitor, _ := networkPod(t, client, config, "visitor")
	if len(serverIPs) != 2 {
		t.Fatalf("addresses: %q", serverIPs)
	}
	execSync(t, client, server, "sh", "-c", "echo hello > /tmp/index.html && httpd -p 80 -h /tmp")
	for _, address := range []string{serverIPs[0], "[" + serverIPs[1] + "]"} {
		if got := execSync(t, client, visitor, "timeout", "10", "wget", "-q", "-O", "-", "http://"+address+"/"); got != "hello\n" {
			t.Errorf("from %s: %q", address, got)
		}
	}
	if got := execSync(t, client, visitor, "hostname"); got != "visitor-host\n" {
		t.Errorf("hostname %q", got)
	}
	inNode(t, config.NetNS, func() error {
		conn, err := net.Dial("tcp", "127.0.0.1:8080")
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		answer, err := io.ReadAll(conn)
		if !strings.HasSuffix(string(answer), "hello\n") {
			t.Errorf("by the host port: %q", answer)
		}
		return err
	})

	if err := r.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectNothing(t, r.config)
	inNode(t, config.NetNS, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, link := range links {
			if link.Type() == "bridge" || link.Type() == "veth" {
				t.Errorf("%s is left", link.Attrs().Name)
			}
		}
		tables, err := (&nftables.Conn{}).ListTables()
		if len(tables) > 0 {
			t.Errorf("%d tables are left, the first is %s", len(tables), tables[0].Name)
		}
		return err
	})
}

func networkReady(t testing.TB, client cri) bool {
	t.Helper()
	status, err := client.Status(t.Context(), &runtimeapi.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, condition := range status.Status.Conditions {
		if condition.Type == "NetworkReady" {
			return condition.Status
		}
	}
	return false
}

// networkPod runs a pod with a container that sleeps, and returns the container and the pod's addresses.
func networkPod(t testing.TB, client cri, config Config, name string, ports ...*runtimeapi.PortMapping) (string, []string) {
	t.Helper()
	pod := hostPod(config, name, t.TempDir())
	pod.Hostname = name + "-host"
	pod.PortMappings = ports
	pod.Linux.SecurityContext.NamespaceOptions.Network = runtimeapi.NamespaceMode_POD
	sandbox, err := client.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: pod})
	if err != nil {
		t.Fatal(err)
	}
	status, err := client.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: sandbox.PodSandboxId})
	if err != nil {
		t.Fatal(err)
	}
	ips := []string{status.Status.Network.Ip}
	for _, more := range status.Status.Network.AdditionalIps {
		ips = append(ips, more.Ip)
	}
	return runContainer(t, client, pod, sandbox.PodSandboxId, "main", "sleep", "1000"), ips
}

// The processes of a pod that shares its PID namespace see each other, the pause program first, and end with the pod.
func TestSharedPIDNamespace(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	r := start(t, config)
	client := dial(t, r)
	if _, err := r.ImportImage(t.Context(), images.Busybox(t)); err != nil {
		t.Fatal(err)
	}
	pod := hostPod(config, "shared", t.TempDir())
	pod.Linux.SecurityContext.NamespaceOptions.Pid = runtimeapi.NamespaceMode_POD
	sandbox, err := client.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: pod})
	if err != nil {
		t.Fatal(err)
	}
	container := runContainer(t, client, pod, sandbox.PodSandboxId, "main", "sleep", "1000")
	if got := execSync(t, client, container, "cat", "/proc/1/cmdline"); got != "/pause\x00" {
		t.Errorf("the first process is %q", got)
	}
	status := execSync(t, client, container, "cat", "/proc/1/status")
	for _, want := range []string{"Uid:\t65535\t65535\t65535\t65535", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(status, want) {
			t.Errorf("the pause program's status lacks %q", want)
		}
	}
	if _, err := client.StopPodSandbox(t.Context(), &runtimeapi.StopPodSandboxRequest{PodSandboxId: sandbox.PodSandboxId}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RemovePodSandbox(t.Context(), &runtimeapi.RemovePodSandboxRequest{PodSandboxId: sandbox.PodSandboxId}); err != nil {
		t.Fatal(err)
	}
	for _, pid := range cgroupPIDs(t, config.CgroupParent) {
		t.Errorf("process %s is left in the pod's cgroups", pid)
	}
}

func cgroupPIDs(t testing.TB, parent string) (pids []string) {
	t.Helper()
	roots, err := cgroupRoots()
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		filepath.WalkDir(filepath.Join(root, parent), func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.Name() == "cgroup.procs" {
				content, _ := os.ReadFile(path)
				pids = append(pids, strings.Fields(string(content))...)
			}
			return nil
		})
	}
	return pids
}

// A pod with a user namespace of its own, which is runc's to make, has a network and works as others do.
func TestUserNamespace(t *testing.T) {
	t.Parallel()
	r, client := networkNode(t)
	pod := hostPod(r.config, "mapped", t.TempDir())
	options := pod.Linux.SecurityContext.NamespaceOptions
	options.Network = runtimeapi.NamespaceMode_POD
	mapping := []*runtimeapi.IDMapping{{HostId: 100000, ContainerId: 0, Length: 65536}}
	options.UsernsOptions = &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD, Uids: mapping, Gids: mapping}
	sandbox, err := client.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: pod})
	if err != nil {
		t.Fatal(err)
	}
	container := runContainer(t, client, pod, sandbox.PodSandboxId, "main", "sleep", "1000")
	if got := strings.Fields(execSync(t, client, container, "cat", "/proc/self/uid_map")); strings.Join(got, " ") != "0 100000 65536" {
		t.Errorf("user IDs are mapped %q", got)
	}
	if got := execSync(t, client, container, "ip", "route"); !strings.Contains(got, "default via 10.77.0.1") {
		t.Errorf("routes: %q", got)
	}
}
