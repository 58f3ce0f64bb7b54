package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/proxy/lab"
	"github.com/septet-io/septet/proxy/plan"
	"github.com/septet-io/septet/proxy/state"
)

// world is a node with Pods that serve, and the proxy's rules in its kernel.
type world struct {
	*lab.Node
	t       *testing.T
	kernel  *Kernel
	planner *plan.Planner
	env     plan.Environment
	pods    []*lab.Space
	v4, v6  []netip.Addr
}

var ip = netip.MustParseAddr

func newWorld(t *testing.T, pods int) *world {
	t.Helper()
	w := &world{Node: lab.NewNode(t), t: t}
	for i := range pods {
		pod, v4, v6 := w.Pod()
		pod.Serve(fmt.Sprintf("pod%d", i), 8080)
		w.pods, w.v4, w.v6 = append(w.pods, pod), append(w.v4, v4), append(w.v6, v6)
	}
	w.env = plan.Environment{
		Config: plan.Config{Node: "node", MasqueradeMark: 1 << 14, Inside: plan.Inside{CIDR: true}}, NodePortIPs: []netip.Addr{ip(lab.NodeIP), ip(lab.NodeIP6)},
		PodCIDRs:     []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd01::/64")},
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("fd96::/112")},
	}
	w.Do(func() {
		link, err := netlink.LinkByName("br0")
		if err != nil {
			t.Error(err)
			return
		}
		w.env.Bridges = []uint32{uint32(link.Attrs().Index)}
		w.kernel, err = Open()
		if err != nil {
			t.Error(err)
		}
	})
	w.planner = plan.New(w.env)
	t.Cleanup(func() { w.kernel.Close() })
	w.sync()
	return w
}

// sync makes the kernel's tables anew.
func (w *world) sync() {
	w.t.Helper()
	rulesets := map[plan.Family]plan.Ruleset{}
	for _, family := range plan.Families {
		rulesets[family] = w.planner.Ruleset(family)
	}
	if err := w.kernel.Replace(rulesets); err != nil {
		w.t.Fatal(err)
	}
}

// set brings Services up to date as the proxy does, with what has changed only.
func (w *world) set(services ...*state.Service) {
	w.t.Helper()
	var changes []state.Change
	for _, service := range services {
		changes = append(changes, state.Change{Name: service.Name, Service: service})
	}
	if err := w.kernel.Apply(w.planner.Update(changes)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) endpoint(i int) state.Endpoint {
	return state.Endpoint{Addr: netip.AddrPortFrom(w.v4[i], 8080), Local: true, Ready: true, Serving: true}
}

func (w *world) service(name string, endpoints ...int) *state.Service {
	service := &state.Service{
		Name: types.NamespacedName{Namespace: "ns", Name: name}, ClusterIPs: []netip.Addr{ip("10.96.0.1"), ip("fd96::1")},
		Ports: []state.Port{{Name: "t", Protocol: state.TCP, Port: 80, NodePort: 30080}, {Name: "u", Protocol: state.UDP, Port: 80, NodePort: 30080}},
	}
	for p := range service.Ports {
		for _, i := range endpoints {
			e := w.endpoint(i)
			service.Ports[p].Endpoints = append(service.Ports[p].Endpoints, e)
			e.Addr = netip.AddrPortFrom(w.v6[i], 8080)
			service.Ports[p].Endpoints = append(service.Ports[p].Endpoints, e)
		}
	}
	return service
}

// expect asks and compares; an empty name is refusal, "silence" is none at all.
func (w *world) expect(from *lab.Space, network, address, name, source string) {
	w.t.Helper()
	got, saw, err := from.Ask(network, address)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EPERM): // EPERM is how the node's own UDP learns of it
		got = ""
	case isTimeout(err):
		got = "silence"
	case err != nil:
		w.t.Errorf("%s %s: %v", network, address, err)
		return
	}
	if got != name || saw != source {
		w.t.Errorf("%s %s: answer of %q, which saw %q; want %q and %q", network, address, got, saw, name, source)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// conformance: Service, NodePort Service
func TestEveryWayToAService(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	client, clientIP, clientIP6 := w.Pod()
	service := w.service("web", 0)
	service.ExternalIPs = []netip.Addr{ip("203.0.113.1"), ip("fd20::1")}
	service.LoadBalancerIPs = []netip.Addr{ip("203.0.113.2"), ip("fd20::2")}
	w.set(service)
	for _, network := range []string{"tcp", "udp"} {
		// From a Pod on the same bridge the sender has to be hidden: the answer would come by another way than the question went.
		w.expect(client, network, "10.96.0.1:80", "pod0", lab.BridgeIP)
		w.expect(client, network, "[fd96::1]:80", "pod0", lab.BridgeIP6)
		// To itself.
		w.expect(w.pods[0], network, "10.96.0.1:80", "pod0", lab.BridgeIP)
		// From the node.
		w.expect(w.Space, network, "10.96.0.1:80", "pod0", lab.BridgeIP)
		w.expect(w.Space, network, lab.NodeIP+":30080", "pod0", lab.BridgeIP)
		// From outside.
		for _, address := range []string{lab.NodeIP + ":30080", "203.0.113.1:80", "203.0.113.2:80", "[" + lab.NodeIP6 + "]:30080", "[fd20::1]:80", "[fd20::2]:80"} {
			saw := lab.BridgeIP
			if address[0] == '[' {
				saw = lab.BridgeIP6
			}
			w.expect(w.Outside, network, address, "pod0", saw)
		}
	}
	// Straight to a Pod nothing is touched.
	w.expect(client, "tcp", "10.1.0.2:8080", "pod0", clientIP.String())
	w.expect(client, "tcp", "[fd01::2]:8080", "pod0", clientIP6.String())
}

func TestNobodyServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.set(w.service("web"))
	for _, from := range []*lab.Space{w.pods[0], w.Space} {
		w.expect(from, "tcp", "10.96.0.1:80", "", "")
		w.expect(from, "udp", "10.96.0.1:80", "", "")
		w.expect(from, "tcp", "[fd96::1]:80", "", "")
		w.expect(from, "tcp", "10.96.0.1:81", "", "")        // a port that the Service does not have
		w.expect(from, "tcp", "10.96.0.9:80", "silence", "") // an address that no Service has
	}
	w.expect(w.Outside, "tcp", lab.NodeIP+":30080", "", "")
	w.set(w.service("web", 0))
	w.expect(w.pods[0], "tcp", "10.96.0.1:80", "pod0", lab.BridgeIP)
	w.set(w.service("web"))
	w.expect(w.pods[0], "tcp", "10.96.0.1:80", "", "")
}

// conformance: Service, endpoints
// conformance: Service, ClusterIP type, session affinity to None
func TestEndpointsComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	client, _, _ := w.Pod()
	for _, endpoints := range [][]int{{0, 1, 2}, {1, 2}, {2}, {0, 2}, {1}, {0, 1, 2}} {
		w.set(w.service("web", endpoints...))
		left := map[string]bool{}
		for _, i := range endpoints {
			left[fmt.Sprintf("pod%d", i)] = true
		}
		for range 200 {
			name, _, err := client.Ask("tcp", "10.96.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			delete(left, name)
			if len(left) == 0 {
				break
			}
		}
		if len(left) > 0 {
			t.Errorf("of %v, %v never answered", endpoints, left)
		}
	}
}

// conformance: Service, ClusterIP type, session affinity to ClientIP
func TestAffinity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	client, _, _ := w.Pod()
	service := w.service("web", 0, 1, 2)
	service.Affinity = time.Hour
	w.set(service)
	for _, address := range []string{"10.96.0.1:80", "[fd96::1]:80"} {
		first, _, err := client.Ask("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		again := func(when string) {
			t.Helper()
			for range 20 {
				if name, _, err := client.Ask("tcp", address); err != nil || name != first {
					t.Fatalf("%s: went from %s to %s (%v)", when, first, name, err)
				}
			}
		}
		again("at once")
		w.sync()
		again("after all rules were made anew")
		var others []int
		for i := range 3 {
			if fmt.Sprintf("pod%d", i) != first {
				others = append(others, i)
			}
		}
		fewer := w.service("web", others...)
		fewer.Affinity = time.Hour
		w.set(fewer)
		if first, _, err = client.Ask("tcp", address); err != nil {
			t.Fatal(err)
		}
		again("after the endpoint went")
		w.set(service)
		again("after it came back")
	}
	brief := w.service("web", 0, 1, 2)
	brief.Affinity = time.Second
	w.set(brief)
	seen := map[string]bool{}
	for range 3 {
		name, _, err := client.Ask("tcp", "10.96.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		seen[name] = true
	}
	if len(seen) != 1 {
		t.Errorf("a client with an affinity of a second saw %v", seen)
	}
}

// With the policy Local, what comes from outside keeps its sender and stays on the node; what comes from inside does not care.
func TestTrafficPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	client, _, _ := w.Pod()
	service := w.service("web", 0)
	service.ExternalLocal = true
	service.LoadBalancerIPs = []netip.Addr{ip("203.0.113.2")}
	w.set(service)
	w.expect(w.Outside, "tcp", lab.NodeIP+":30080", "pod0", lab.OutsideIP)
	w.expect(w.Outside, "udp", "203.0.113.2:80", "pod0", lab.OutsideIP)
	w.expect(w.Space, "tcp", "203.0.113.2:80", "pod0", lab.BridgeIP)

	elsewhere := w.service("web", 0)
	elsewhere.ExternalLocal, elsewhere.LoadBalancerIPs = true, service.LoadBalancerIPs
	for p := range elsewhere.Ports {
		for e := range elsewhere.Ports[p].Endpoints {
			elsewhere.Ports[p].Endpoints[e].Local = false
		}
	}
	w.set(elsewhere)
	w.expect(w.Outside, "tcp", lab.NodeIP+":30080", "silence", "")
	w.expect(client, "tcp", "203.0.113.2:80", "pod0", lab.BridgeIP)
	w.expect(w.Space, "tcp", "203.0.113.2:80", "pod0", lab.BridgeIP)

	elsewhere.ExternalLocal, elsewhere.InternalLocal = false, true
	internal := *elsewhere
	w.set(&internal)
	w.expect(client, "tcp", "10.96.0.1:80", "silence", "")
	w.expect(w.Outside, "tcp", lab.NodeIP+":30080", "pod0", lab.BridgeIP)
}

func TestSourceRanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	service := w.service("web", 0)
	service.LoadBalancerIPs = []netip.Addr{ip("203.0.113.2"), ip("fd20::2")}
	service.SourceRanges = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("198.51.100.128/25"), netip.MustParsePrefix("fd99::/64")}
	w.set(service)
	w.expect(w.Outside, "tcp", "203.0.113.2:80", "silence", "")
	w.expect(w.Outside, "tcp", "[fd20::2]:80", "silence", "")
	w.expect(w.Outside, "tcp", lab.NodeIP+":30080", "pod0", lab.BridgeIP)
	allowed := *service
	allowed.SourceRanges = append(allowed.SourceRanges, netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("fd07::/64"))
	w.set(&allowed)
	w.expect(w.Outside, "tcp", "203.0.113.2:80", "pod0", lab.BridgeIP)
	w.expect(w.Outside, "tcp", "[fd20::2]:80", "pod0", lab.BridgeIP6)
	w.set(service)
	w.expect(w.Outside, "tcp", "203.0.113.2:80", "silence", "")
}
