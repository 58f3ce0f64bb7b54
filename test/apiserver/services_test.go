package apiserver

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/client"
)

func service(name string, change func(*corev1.ServiceSpec)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80}},
	}}
	if change != nil {
		change(&s.Spec)
	}
	return s
}

func at(ip string) func(*corev1.ServiceSpec) {
	return func(s *corev1.ServiceSpec) { s.ClusterIP = ip }
}

func nodePort(port int32) func(*corev1.ServiceSpec) {
	return func(s *corev1.ServiceSpec) { s.Type, s.Ports[0].NodePort = corev1.ServiceTypeNodePort, port }
}

// shop is where a test's Services are.
type shop struct {
	*testing.T
	*client.Set
	typedcorev1.ServiceInterface
}

func open(t *testing.T, change ...func(*apiserver.Standard)) *shop {
	t.Helper()
	set := StartComplete(t, change...).InProcess("admin", "system:masters")
	return &shop{t, set, set.CoreV1().Services("default")}
}

func (s *shop) create(wanted *corev1.Service) *corev1.Service {
	s.T.Helper()
	made, err := s.ServiceInterface.Create(s.Context(), wanted, metav1.CreateOptions{})
	if err != nil {
		s.T.Fatalf("%s: %v", wanted.Name, err)
	}
	return made
}

func (s *shop) refused(wanted *corev1.Service, why string) {
	s.T.Helper()
	_, err := s.ServiceInterface.Create(s.Context(), wanted, metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), why) {
		s.T.Errorf("%s: %v; want %q", wanted.Name, err, why)
	}
}

func (s *shop) update(changed *corev1.Service) *corev1.Service {
	s.T.Helper()
	made, err := s.ServiceInterface.Update(s.Context(), changed, metav1.UpdateOptions{})
	if err != nil {
		s.T.Fatalf("%s: %v", changed.Name, err)
	}
	return made
}

func (s *shop) remove(name string) {
	s.T.Helper()
	if err := s.ServiceInterface.Delete(s.Context(), name, metav1.DeleteOptions{}); err != nil {
		s.T.Fatal(err)
	}
}

// holder is the Service to which an address belongs, "" if it is free.
func (s *shop) holder(ip string) string {
	s.T.Helper()
	address, err := s.NetworkingV1().IPAddresses().Get(s.Context(), ip, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return ""
	}
	if err != nil {
		s.T.Fatal(err)
	}
	return address.Spec.ParentRef.Name
}

// conformance: Kubernetes Service
func TestServicesGetAddresses(t *testing.T) {
	t.Parallel()
	s := open(t)
	if kubernetes, err := s.Get(t.Context(), "kubernetes", metav1.GetOptions{}); err != nil || kubernetes.Spec.ClusterIP != "10.96.0.1" || s.holder("10.96.0.1") != "kubernetes" {
		t.Errorf("the server's own Service: %+v, %v", kubernetes, err)
	}
	any := s.create(service("any", nil))
	if ip := any.Spec.ClusterIP; !netip.MustParsePrefix("10.96.0.0/24").Contains(netip.MustParseAddr(ip)) || s.holder(ip) != "any" || any.Spec.ClusterIPs[0] != ip {
		t.Errorf("any address: %+v", any.Spec)
	}
	s.create(service("named", at("10.96.0.10")))
	s.refused(service("late", at("10.96.0.10")), `spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated`)
	s.refused(service("outside", at("10.97.0.10")), "The range of valid IPs is 10.96.0.0/24")
	s.refused(service("first", at("10.96.0.0")), "not in the valid range")
	s.refused(service("last", at("10.96.0.255")), "not in the valid range")

	// Who creates a Service again learns that it is there, and takes nothing from it.
	if _, err := s.Create(t.Context(), service("named", at("10.96.0.10")), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("again: %v", err)
	}
	if holder := s.holder("10.96.0.10"); holder != "named" {
		t.Errorf("the address belongs to %q after a second creation", holder)
	}
	if _, err := s.Create(t.Context(), service("dry", at("10.96.0.11")), metav1.CreateOptions{DryRun: []string{"All"}}); err != nil || s.holder("10.96.0.11") != "" {
		t.Errorf("dry run: %v, address held by %q", err, s.holder("10.96.0.11"))
	}
	// A client that knows nothing of addresses updates the rest.
	bare := service("named", nil)
	bare.ResourceVersion = ""
	bare.Labels = map[string]string{"a": "b"}
	if updated := s.update(bare); updated.Spec.ClusterIP != "10.96.0.10" {
		t.Errorf("the address was lost: %+v", updated.Spec)
	}
	external := s.update(service("named", func(spec *corev1.ServiceSpec) {
		spec.Type, spec.ExternalName = corev1.ServiceTypeExternalName, "example.org"
	}))
	if external.Spec.ClusterIP != "" || s.holder("10.96.0.10") != "" {
		t.Errorf("an ExternalName keeps %q, held by %q", external.Spec.ClusterIP, s.holder("10.96.0.10"))
	}
	s.remove("any")
	if holder := s.holder(any.Spec.ClusterIP); holder != "" {
		t.Errorf("a deleted Service's address is held by %q", holder)
	}
	if none := s.create(service("headless", at("None"))); none.Spec.ClusterIPs[0] != "None" {
		t.Errorf("headless: %+v", none.Spec)
	}
}

func TestAFullRangeIsSaid(t *testing.T) {
	t.Parallel()
	s := open(t, func(o *apiserver.Standard) { o.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/30")} })
	s.create(service("one", nil))
	_, err := s.Create(t.Context(), service("two", nil), metav1.CreateOptions{})
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "failed to allocate a serviceIP: range is full") {
		t.Errorf("got %v", err)
	}
	s.remove("one")
	s.create(service("two", nil))
}

func TestServicesGetNodePorts(t *testing.T) {
	t.Parallel()
	s := open(t, func(o *apiserver.Standard) { o.NodePorts = "30000-30002" })
	s.create(service("named", nodePort(30001)))
	s.refused(service("late", nodePort(30001)), "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated")
	s.refused(service("outside", nodePort(40000)), "spec.ports[0].nodePort: Invalid value: 40000: provided port is not in the valid range. The range of valid ports is 30000-30002")
	both := s.create(service("dns", func(spec *corev1.ServiceSpec) {
		spec.Type = corev1.ServiceTypeNodePort
		spec.Ports = []corev1.ServicePort{{Name: "tcp", Port: 53}, {Name: "udp", Port: 53, Protocol: corev1.ProtocolUDP}}
	}))
	if p := both.Spec.Ports; p[0].NodePort == 0 || p[0].NodePort != p[1].NodePort {
		t.Errorf("a port of two protocols: %+v", p)
	}
	s.create(service("third", nodePort(0)))
	s.refused(service("fourth", nodePort(0)), "range is full")
	if _, err := s.Create(t.Context(), service("named", nodePort(30001)), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) && !apierrors.IsInvalid(err) {
		t.Errorf("again: %v", err)
	}
	// What is no longer a NodePort gives its port back.
	plain, err := s.Patch(t.Context(), "named", types.MergePatchType, []byte(`{"spec":{"type":"ClusterIP"}}`), metav1.PatchOptions{})
	if err != nil || plain.Spec.Ports[0].NodePort != 0 {
		t.Fatalf("back to ClusterIP: %+v, %v", plain.Spec, err)
	}
	s.create(service("fourth", nodePort(30001)))
	s.remove("third")
	if lb := s.create(service("balanced", func(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeLoadBalancer })); lb.Spec.Ports[0].NodePort == 0 {
		t.Errorf("load balancer: %+v", lb.Spec)
	}
	s.create(service("direct", func(spec *corev1.ServiceSpec) {
		spec.Type, spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeLoadBalancer, ptr.To(false)
	}))
}

func TestServicesOfTwoFamilies(t *testing.T) {
	t.Parallel()
	policy := func(p corev1.IPFamilyPolicy, families ...corev1.IPFamily) func(*corev1.ServiceSpec) {
		return func(s *corev1.ServiceSpec) { s.IPFamilyPolicy, s.IPFamilies = &p, families }
	}
	t.Run("on a cluster of one", func(t *testing.T) {
		t.Parallel()
		s := open(t)
		s.refused(service("require", policy(corev1.IPFamilyPolicyRequireDualStack)), "this cluster is not configured for dual-stack services")
		s.refused(service("six", policy(corev1.IPFamilyPolicySingleStack, corev1.IPv6Protocol)), "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster")
		if made := s.create(service("prefer", policy(corev1.IPFamilyPolicyPreferDualStack))); len(made.Spec.ClusterIPs) != 1 {
			t.Errorf("%+v", made.Spec)
		}
		if made := s.create(service("apart", func(spec *corev1.ServiceSpec) { spec.ClusterIP, spec.Selector = "None", nil })); len(made.Spec.IPFamilies) != 2 {
			t.Errorf("headless without selector: %+v", made.Spec)
		}
	})
	t.Run("on a cluster of two", func(t *testing.T) {
		t.Parallel()
		s := open(t, func(o *apiserver.Standard) {
			o.ServiceCIDRs = append(o.ServiceCIDRs, netip.MustParsePrefix("fd00:96::/112"))
		})
		if made := s.create(service("plain", nil)); len(made.Spec.ClusterIPs) != 1 || *made.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack {
			t.Errorf("by default: %+v", made.Spec)
		}
		made := s.create(service("both", policy(corev1.IPFamilyPolicyRequireDualStack)))
		if len(made.Spec.ClusterIPs) != 2 || made.Spec.IPFamilies[1] != corev1.IPv6Protocol {
			t.Fatalf("%+v", made.Spec)
		}
		six := made.Spec.ClusterIPs[1]
		// An old client that sends the first address alone loses nothing.
		old := service("both", policy(corev1.IPFamilyPolicyRequireDualStack))
		old.Spec.ClusterIP = made.Spec.ClusterIP
		if updated := s.update(old); len(updated.Spec.ClusterIPs) != 2 || updated.Spec.ClusterIPs[1] != six {
			t.Errorf("after an old client's update: %q, had %q", updated.Spec.ClusterIPs, made.Spec.ClusterIPs)
		}
		single, err := s.Patch(t.Context(), "both", types.MergePatchType, []byte(`{"spec":{"ipFamilyPolicy":"SingleStack"}}`), metav1.PatchOptions{})
		if err != nil || len(single.Spec.ClusterIPs) != 1 || len(single.Spec.IPFamilies) != 1 || s.holder(six) != "" {
			t.Errorf("to one: %+v, %v; %s is held by %q", single.Spec, err, six, s.holder(six))
		}
		again, err := s.Patch(t.Context(), "both", types.MergePatchType, []byte(`{"spec":{"ipFamilyPolicy":"PreferDualStack"}}`), metav1.PatchOptions{})
		if err != nil || len(again.Spec.ClusterIPs) != 2 || again.Spec.ClusterIPs[0] != made.Spec.ClusterIP {
			t.Errorf("to both again: %+v, %v", again.Spec, err)
		}
		s.refused(service("crossed", func(spec *corev1.ServiceSpec) {
			spec.ClusterIP, spec.IPFamilies = "10.96.0.20", []corev1.IPFamily{corev1.IPv6Protocol}
		}), "expected an")
	})
}

// TestAddressesAreRepaired: a Service whose IPAddress somebody deletes, or gives to somebody else, gets it back, since the address is in its spec.
func TestAddressesAreRepaired(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.create(service("mine", at("10.96.0.20")))
	addresses := s.NetworkingV1().IPAddresses()
	held := func(what string) {
		t.Helper()
		watch, err := addresses.Watch(s.Context(), metav1.ListOptions{FieldSelector: "metadata.name=10.96.0.20"})
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Stop()
		for s.holder("10.96.0.20") != "mine" {
			if _, open := <-watch.ResultChan(); !open {
				t.Fatalf("%s: the watch ended before the address was back", what)
			}
		}
	}
	if err := addresses.Delete(s.Context(), "10.96.0.20", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	held("deleted")
}
