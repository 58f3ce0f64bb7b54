package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kube-proxy/config/v1alpha1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/proxy/nft"
)

// alone runs the rest of a test in a process that has a network namespace of its own; it returns false in the process that only waits for that.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if os.Getenv("SEPTET_PROXY_TEST") == t.Name() {
		return true
	}
	t.Parallel()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	// The fake API server does not end the initial events of a watch with a field selector: list and watch apart.
	child.Env = append(os.Environ(), "SEPTET_PROXY_TEST="+t.Name(), "KUBE_FEATURE_WatchListClient=false")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if output, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return false
}

// site is the proxy at work on a machine whose Pods are addresses of its loopback.
type site struct {
	t       *testing.T
	client  *fake.Clientset
	journal *journal.Ring
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSite(t *testing.T, pods int, objects ...runtime.Object) *site {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(lo))
	for i := range pods {
		address, err := netlink.ParseAddr(fmt.Sprintf("10.1.0.%d/24", i+1))
		must(t, err)
		must(t, netlink.AddrAdd(lo, address))
	}
	_, services, err := net.ParseCIDR("10.96.0.0/16")
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: services, Scope: netlink.SCOPE_LINK}))
	objects = append(objects, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}})
	s := &site{t: t, client: fake.NewClientset(objects...), journal: journal.New(0)}
	ready := make(chan struct{})
	config := Config{
		Clients:  &client.Set{Interface: s.client, Informers: informers.NewSharedInformerFactory(s.client, 0)},
		Settings: v1alpha1.KubeProxyConfiguration{HostnameOverride: "node", BindAddressHardFail: true},
		Journal:  s.journal, Ready: func() { close(ready) },
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, config) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	return s
}

func service(name, ip string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, ResourceVersion: "1"},
		Spec: corev1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}, Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{
			{Name: "t", Protocol: corev1.ProtocolTCP, Port: 80}, {Name: "u", Protocol: corev1.ProtocolUDP, Port: 80},
		}},
	}
}

func slice(service string, addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "ns", Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{
			{Name: ptr.To("t"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)},
			{Name: ptr.To("u"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolUDP)},
		},
	}
	for _, address := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, NodeName: ptr.To("node")})
	}
	return s
}

// answer listens for UDP and TCP at 10.1.0.n:8080 and answers with n.
func (s *site) answer(n int) {
	s.t.Helper()
	address := fmt.Sprintf("10.1.0.%d:8080", n)
	udp, err := net.ListenPacket("udp", address)
	must(s.t, err)
	tcp, err := net.Listen("tcp", address)
	must(s.t, err)
	s.t.Cleanup(func() { udp.Close(); tcp.Close() })
	go func() {
		buffer := make([]byte, 16)
		for {
			_, from, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			if _, err := udp.WriteTo(fmt.Append(nil, n), from); err != nil {
				return
			}
		}
	}()
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, n)
			conn.Close()
		}
	}()
}

// until asks again and again until the answer is the wanted one.
func (s *site) until(want string, ask func() (string, error)) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got, err := ask()
		if err == nil && got == want {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("answer is %q (%v), want %q", got, err, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func tcp(address string) func() (string, error) {
	return func() (string, error) {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		data, err := io.ReadAll(conn)
		return string(data), err
	}
}

// A client that sends from one port for ever finds the new endpoint when the old one goes, and the first one when it comes.
func TestUDPClientsAreNotForgotten(t *testing.T) {
	if !alone(t) {
		return
	}
	s := newSite(t, 2, service("dns", "10.96.0.1"))
	s.answer(1)
	s.answer(2)
	conn, err := net.Dial("udp", "10.96.0.1:80")
	must(t, err)
	defer conn.Close()
	ask := func() (string, error) {
		must(t, conn.SetDeadline(time.Now().Add(100*time.Millisecond)))
		if _, err := conn.Write([]byte("?")); err != nil {
			return "", err
		}
		buffer := make([]byte, 16)
		n, err := conn.Read(buffer)
		return string(buffer[:n]), err
	}
	if answer, err := ask(); err == nil {
		t.Errorf("answer of %s without any endpoint", answer)
	}
	slices := s.client.DiscoveryV1().EndpointSlices("ns")
	_, err = slices.Create(t.Context(), slice("dns", "10.1.0.1"), metav1.CreateOptions{})
	must(t, err)
	s.until("1", ask)
	_, err = slices.Update(t.Context(), slice("dns", "10.1.0.2"), metav1.UpdateOptions{})
	must(t, err)
	s.until("2", ask)
	records := s.journal.Select(func(r *journal.Record) bool { return r.Owner == "EndpointSlice/ns/dns-1" })
	if len(records) != 2 || records[1].Note != "2 ports, 2 of 2 endpoints ready" {
		t.Errorf("journal has %+v", records)
	}
}

// Whatever others do to the rules, they come back.
func TestRulesComeBack(t *testing.T) {
	if !alone(t) {
		return
	}
	s := newSite(t, 1, service("web", "10.96.0.1"), slice("web", "10.1.0.1"))
	s.answer(1)
	s.until("1", tcp("10.96.0.1:80"))
	conn, err := nftables.New()
	must(t, err)
	table := &nftables.Table{Name: nft.TableName, Family: nftables.TableFamilyIPv4}
	for name, harm := range map[string]func(){
		"the table deleted":   func() { conn.DelTable(table) },
		"everything flushed":  conn.FlushRuleset,
		"its rules flushed":   func() { conn.FlushTable(table) },
		"one set emptied":     func() { conn.FlushSet(&nftables.Set{Name: "services", Table: table}) },
		"another table added": func() { conn.AddTable(&nftables.Table{Name: "other", Family: nftables.TableFamilyIPv4}) },
	} {
		t.Log(name)
		harm()
		must(t, conn.Flush())
		s.until("1", tcp("10.96.0.1:80"))
	}
	_, err = s.client.DiscoveryV1().EndpointSlices("ns").Update(t.Context(), slice("web"), metav1.UpdateOptions{})
	must(t, err)
	s.until("dial tcp 10.96.0.1:80: connect: connection refused", func() (string, error) {
		_, err := tcp("10.96.0.1:80")()
		return fmt.Sprint(err), nil
	})
}

func TestHealthPorts(t *testing.T) {
	if !alone(t) {
		return
	}
	balanced := service("web", "10.96.0.1")
	balanced.Spec.Type, balanced.Spec.HealthCheckNodePort = corev1.ServiceTypeLoadBalancer, 30200
	balanced.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	s := newSite(t, 1, balanced, slice("web", "10.1.0.1"))
	status := func(url string) func() (string, error) {
		return func() (string, error) {
			response, err := http.Get(url)
			if err != nil {
				return "", err
			}
			defer response.Body.Close()
			return fmt.Sprint(response.StatusCode, " ", response.Header.Get("X-Load-Balancing-Endpoint-Weight")), nil
		}
	}
	s.until("200 1", status("http://127.0.0.1:30200/"))
	s.until("200 ", status("http://127.0.0.1:10256/healthz"))
	_, err := s.client.DiscoveryV1().EndpointSlices("ns").Update(t.Context(), slice("web"), metav1.UpdateOptions{})
	must(t, err)
	s.until("503 0", status("http://127.0.0.1:30200/"))
	leaving := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}, Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: deletionTaint}}}}
	_, err = s.client.CoreV1().Nodes().Update(t.Context(), leaving, metav1.UpdateOptions{})
	must(t, err)
	s.until("503 ", status("http://127.0.0.1:10256/healthz"))
	s.until("200 ", status("http://127.0.0.1:10256/livez"))
	must(t, s.client.CoreV1().Services("ns").Delete(t.Context(), "web", metav1.DeleteOptions{}))
	s.until("gone", func() (string, error) {
		if _, err := http.Get("http://127.0.0.1:30200/"); err != nil {
			return "gone", nil
		}
		return "", nil
	})
}

// Node ports follow the machine's addresses.
func TestNodePortsFollowAddresses(t *testing.T) {
	if !alone(t) {
		return
	}
	open := service("web", "10.96.0.1")
	open.Spec.Type, open.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, 30080
	s := newSite(t, 1, open, slice("web", "10.1.0.1"))
	s.answer(1)
	s.until("1", tcp("10.1.0.1:30080"))
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	for _, text := range []string{"192.0.2.6/32", "192.0.2.7/24"} {
		address, err := netlink.ParseAddr(text)
		must(t, err)
		must(t, netlink.AddrAdd(lo, address))
	}
	s.until("1", tcp("192.0.2.7:30080"))
	if answer, err := tcp("192.0.2.6:30080")(); err == nil {
		t.Errorf("a balancer's address answers %q at a node port", answer)
	}
}
