// Package proxy shows kube-proxy at work with the real API server and a real kernel: what is written to the API is in the kernel's rules.
package proxy

import (
	"context"
	"fmt"
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
	"k8s.io/kube-proxy/config/v1alpha1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/proxy"
	"github.com/septet-io/septet/proxy/nft"
	"github.com/septet-io/septet/test/apiserver"
)

// alone runs the rest in a process that has a network namespace of its own; false in the one that only waits for it.
func alone(t testing.TB, arguments ...string) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if os.Getenv("SEPTET_PROXY_TEST") == t.Name() {
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		must(t, netlink.LinkSetUp(lo))
		return true
	}
	child := exec.CommandContext(t.Context(), os.Args[0], arguments...)
	child.Env = append(os.Environ(), "SEPTET_PROXY_TEST="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	output, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if testing.Verbose() {
		t.Logf("%s", output)
	}
	return false
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func service(i int) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("web-", i)},
		// This server has nobody who gives out addresses.
		Spec: corev1.ServiceSpec{ClusterIP: fmt.Sprintf("10.96.%d.%d", i/250, i%250+1), Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func slice(i int, addresses ...string) *discoveryv1.EndpointSlice {
	name := fmt.Sprint("web-", i)
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	for _, address := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	return s
}

func five(i int) []string {
	var list []string
	for e := range 5 {
		list = append(list, fmt.Sprintf("10.128.%d.%d", i/50, i%50*5+e))
	}
	return list
}

// fill creates n Services with five endpoints each.
func fill(t testing.TB, set *client.Set, n int) { offer(t, set, 0, n) }

// offer creates n Services, numbered from a first one.
func offer(t testing.TB, set *client.Set, first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		_, err := set.CoreV1().Services("default").Create(t.Context(), service(i), metav1.CreateOptions{})
		must(t, err)
		_, err = set.DiscoveryV1().EndpointSlices("default").Create(t.Context(), slice(i, five(i)...), metav1.CreateOptions{})
		must(t, err)
	}
}

// start runs the proxy under its own name and returns how long it took until the kernel had everything.
func start(t testing.TB, s *apiserver.Server, ring *journal.Ring) time.Duration {
	t.Helper()
	ready := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	set := s.InProcess("system:kube-proxy", "system:masters") // this server has no roles
	begun := time.Now()
	go func() {
		done <- proxy.Run(ctx, proxy.Config{
			Clients: set, Journal: ring, Ready: func() { close(ready) },
			Settings: v1alpha1.KubeProxyConfiguration{HostnameOverride: "node", ClusterCIDR: "10.128.0.0/16"},
		})
	}()
	t.Cleanup(func() {
		cancel()
		must(t, <-done)
	})
	select {
	case <-ready:
		return time.Since(begun)
	case err := <-done:
		t.Fatal(err)
	}
	return 0
}

// count is the number of elements of one of the proxy's sets.
func count(t testing.TB, name string) int {
	t.Helper()
	conn, err := nftables.New()
	must(t, err)
	table := &nftables.Table{Name: nft.TableName, Family: nftables.TableFamilyIPv4}
	set, err := conn.GetSetByName(table, name)
	must(t, err)
	elements, err := conn.GetSetElements(set)
	must(t, err)
	return len(elements)
}

func TestAgainstTheAPIServer(t *testing.T) {
	if !alone(t, "-test.run=^TestAgainstTheAPIServer$", "-test.v") {
		return
	}
	s := apiserver.Start(t)
	admin := s.Client()
	fill(t, admin, 20)
	ring := journal.New(0)
	t.Logf("20 Services after %v", start(t, s, ring))
	// The server's own Service kubernetes is one more, though it may not have endpoints yet.
	if got := count(t, "endpoints"); got < 100 {
		t.Errorf("%d endpoints in the kernel", got)
	}
	update := slice(3, five(3)[:4]...)
	_, err := admin.DiscoveryV1().EndpointSlices("default").Update(t.Context(), update, metav1.UpdateOptions{})
	must(t, err)
	for before := count(t, "endpoints"); count(t, "endpoints") >= before && before > 99; {
		time.Sleep(time.Millisecond)
	}
	must(t, admin.CoreV1().Services("default").Delete(t.Context(), "web-5", metav1.DeleteOptions{}))
	for len(ring.Select(func(r *journal.Record) bool { return r.Name == "web-5" && r.Note == "removed" })) == 0 {
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkStart is from the proxy's start to 1,000 Services with five endpoints each in the kernel, and then one endpoint's change from the request to the kernel.
func BenchmarkStart(b *testing.B) {
	if !alone(b, "-test.run=^$", "-test.bench=^BenchmarkStart$", "-test.benchtime=1x") {
		return
	}
	s := apiserver.Start(b)
	admin := s.InProcess("admin", "system:masters")
	fill(b, admin, 1000)
	ring := journal.New(0)
	b.ReportMetric(float64(start(b, s, ring).Microseconds())/1000, "ms/start")
	var total time.Duration
	const rounds = 100
	for i := range rounds {
		addresses := five(i)
		addresses[0] = fmt.Sprintf("10.129.0.%d", i)
		begun := time.Now()
		made, err := admin.DiscoveryV1().EndpointSlices("default").Update(b.Context(), slice(i, addresses...), metav1.UpdateOptions{})
		must(b, err)
		for len(ring.Select(func(r *journal.Record) bool { return r.Saw == made.ResourceVersion })) == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		total += time.Since(begun)
	}
	b.ReportMetric(float64(total.Microseconds())/1000/rounds, "ms/change")
	b.ReportMetric(0, "ns/op")
}
