package state

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func apiService(version string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", ResourceVersion: version},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1", "fd96::1"},
			Ports:                    []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30080}, {Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53}},
			LoadBalancerSourceRanges: []string{" 10.0.0.1/8"},
			SessionAffinity:          corev1.ServiceAffinityClientIP,
			ExternalTrafficPolicy:    corev1.ServiceExternalTrafficPolicyLocal,
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{
			{IP: "203.0.113.1"}, {IP: "203.0.113.2", IPMode: ptr.To(corev1.LoadBalancerIPModeProxy)}, {Hostname: "lb.example.com"},
		}}},
	}
}

func apiSlice(name string, port int32, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
			Annotations: map[string]string{corev1.EndpointsLastChangeTriggerTime: "2026-01-02T10:00:00.5Z"},
		},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints,
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: &port, Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
}

func at(address string, change ...func(*discoveryv1.Endpoint)) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{address}, NodeName: ptr.To("here")}
	for _, f := range change {
		f(&e)
	}
	return e
}

func notReady(e *discoveryv1.Endpoint) { e.Conditions.Ready = ptr.To(false) }

func TestStore(t *testing.T) {
	t.Parallel()
	woken := 0
	s := New("here", func() { woken++ })
	s.SetSlice(apiSlice("a", 8080, at("10.0.0.2"), at("10.0.0.1")))
	if woken != 0 || len(s.Take()) != 0 {
		t.Error("a slice without its Service matters to nobody")
	}
	s.SetService(apiService("1"))
	s.SetService(apiService("1"))
	if woken != 1 {
		t.Errorf("woken %d times by a Service and the same again", woken)
	}
	changes := s.Take()
	if len(changes) != 1 || changes[0].Origin.Kind != "Service" {
		t.Fatalf("changes are %+v", changes)
	}
	service := changes[0].Service
	got := fmt.Sprint(service.ClusterIPs, service.LoadBalancerIPs, service.SourceRanges, service.Affinity, service.ExternalLocal, service.InternalLocal)
	if want := "[10.96.0.1 fd96::1] [203.0.113.1] [10.0.0.0/8] 3h0m0s true false"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// The same address in two slices, as while one takes over from the other: the better state counts.
	s.SetSlice(apiSlice("b", 8080, at("10.0.0.1", notReady), at("10.0.0.3", notReady)))
	changes = s.Take()
	if len(changes) != 1 || !changes[0].Origin.Triggered.Equal(time.Date(2026, 1, 2, 10, 0, 0, 5e8, time.UTC)) || changes[0].Origin.Object != "b" {
		t.Fatalf("changes are %+v", changes)
	}
	var list []string
	for _, e := range changes[0].Service.Ports[0].Endpoints {
		list = append(list, fmt.Sprintf("%s/%v/%v", e.Addr, e.Local, e.Ready))
	}
	if got, want := strings.Join(list, " "), "10.0.0.1:8080/true/true 10.0.0.2:8080/true/true 10.0.0.3:8080/true/false"; got != want {
		t.Errorf("endpoints %s, want %s", got, want)
	}
	if len(changes[0].Service.Ports[1].Endpoints) != 0 {
		t.Error("the port dns has http's endpoints")
	}
	s.DeleteSlice(apiSlice("a", 8080))
	s.DeleteSlice(apiSlice("b", 8080))
	s.DeleteSlice(apiSlice("b", 8080))
	if changes = s.Take(); len(changes) != 1 || len(changes[0].Service.Ports[0].Endpoints) != 0 {
		t.Errorf("changes are %+v", changes)
	}
	s.DeleteService(apiService("2"))
	if changes = s.Take(); len(changes) != 1 || changes[0].Service != nil {
		t.Errorf("changes are %+v", changes)
	}
}

// Services without an address of their own, and those of other proxies, are none of ours; one that becomes so goes.
func TestOthersServices(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*corev1.Service){
		"headless":      func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone },
		"external name": func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName },
		"no address":    func(s *corev1.Service) { s.Spec.ClusterIP = "" },
		"another proxy": func(s *corev1.Service) { s.Labels = map[string]string{proxyNameLabel: "other"} },
	} {
		s := New("here", func() {})
		other := apiService("2")
		change(other)
		s.SetService(other)
		if s.Pending() {
			t.Errorf("%s: was taken", name)
		}
		s.SetService(apiService("1"))
		s.Take()
		s.SetService(other)
		if changes := s.Take(); len(changes) != 1 || changes[0].Service != nil {
			t.Errorf("%s: changes are %+v", name, changes)
		}
	}
}
