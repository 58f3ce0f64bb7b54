package state

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// proxyNameLabel gives a Service to another proxy; headlessLabel is on slices that no proxy needs.
const (
	proxyNameLabel = "service.kubernetes.io/service-proxy-name"
	headlessLabel  = corev1.IsHeadlessService
)

var protocols = map[corev1.Protocol]uint8{"": TCP, corev1.ProtocolTCP: TCP, corev1.ProtocolUDP: UDP, corev1.ProtocolSCTP: SCTP}

// proxied says whether a Service is this proxy's: it has a cluster IP of its own and no other proxy.
func proxied(service *corev1.Service) bool {
	_, other := service.Labels[proxyNameLabel]
	return !other && service.Spec.ClusterIP != "" && service.Spec.ClusterIP != corev1.ClusterIPNone && service.Spec.Type != corev1.ServiceTypeExternalName
}

// relevant says whether a slice's endpoints may be of use to this proxy.
func relevant(slice *discoveryv1.EndpointSlice) bool {
	_, other := slice.Labels[proxyNameLabel]
	_, headless := slice.Labels[headlessLabel]
	return !other && !headless && slice.Labels[discoveryv1.LabelServiceName] != "" && slice.AddressType != discoveryv1.AddressTypeFQDN
}

// convert makes the value of a Service from the API's objects. node is this node's name.
func convert(from *corev1.Service, endpointSlices map[string]*discoveryv1.EndpointSlice, node string) *Service {
	service := &Service{
		Name:            types.NamespacedName{Namespace: from.Namespace, Name: from.Name},
		ClusterIPs:      addresses(clusterIPs(from)),
		ExternalIPs:     addresses(from.Spec.ExternalIPs),
		HealthCheckPort: uint16(from.Spec.HealthCheckNodePort),
		InternalLocal:   from.Spec.InternalTrafficPolicy != nil && *from.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal,
		ExternalLocal:   from.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
	}
	for _, ingress := range from.Status.LoadBalancer.Ingress {
		if ingress.IPMode == nil || *ingress.IPMode == corev1.LoadBalancerIPModeVIP {
			service.LoadBalancerIPs = append(service.LoadBalancerIPs, addresses([]string{ingress.IP})...)
		}
	}
	for _, text := range from.Spec.LoadBalancerSourceRanges {
		if prefix, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil {
			service.SourceRanges = append(service.SourceRanges, prefix.Masked())
		}
	}
	if from.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		service.Affinity = time.Duration(corev1.DefaultClientIPServiceAffinitySeconds) * time.Second
		if c := from.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
			service.Affinity = time.Duration(*c.ClientIP.TimeoutSeconds) * time.Second
		}
	}
	for _, port := range from.Spec.Ports {
		protocol, known := protocols[port.Protocol]
		if !known {
			continue
		}
		service.Ports = append(service.Ports, Port{
			Name: port.Name, Protocol: protocol, Port: uint16(port.Port), NodePort: uint16(port.NodePort),
			Endpoints: endpoints(endpointSlices, port.Name, protocol, node),
		})
	}
	return service
}

func clusterIPs(service *corev1.Service) []string {
	if len(service.Spec.ClusterIPs) > 0 {
		return service.Spec.ClusterIPs
	}
	return []string{service.Spec.ClusterIP}
}

// addresses parses what it can; the server has validated the rest.
func addresses(texts []string) []netip.Addr {
	var found []netip.Addr
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			found = append(found, addr.Unmap())
		}
	}
	return found
}

// endpoints collects those of one port from all slices. An address that is in two slices for a moment counts once; the better state wins.
func endpoints(endpointSlices map[string]*discoveryv1.EndpointSlice, port string, protocol uint8, node string) []Endpoint {
	var found []Endpoint
	for _, slice := range endpointSlices {
		for i := range slice.Ports {
			p := &slice.Ports[i]
			if p.Port == nil || name(p.Name) != port || p.Protocol != nil && protocols[*p.Protocol] != protocol {
				continue
			}
			for j := range slice.Endpoints {
				if endpoint, ok := endpointOf(&slice.Endpoints[j], uint16(*p.Port), node); ok {
					found = append(found, endpoint)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b Endpoint) int {
		if c := a.Addr.Compare(b.Addr); c != 0 {
			return c
		}
		return rank(b) - rank(a)
	})
	return slices.CompactFunc(found, func(a, b Endpoint) bool { return a.Addr == b.Addr })
}

func rank(e Endpoint) int {
	switch {
	case e.Ready:
		return 2
	case e.Serving:
		return 1
	}
	return 0
}

func name(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func endpointOf(from *discoveryv1.Endpoint, port uint16, node string) (Endpoint, bool) {
	if len(from.Addresses) == 0 {
		return Endpoint{}, false
	}
	addr, err := netip.ParseAddr(from.Addresses[0])
	if err != nil {
		return Endpoint{}, false
	}
	conditions := from.Conditions
	endpoint := Endpoint{
		Addr:        netip.AddrPortFrom(addr.Unmap(), port),
		Local:       from.NodeName != nil && *from.NodeName == node,
		Ready:       conditions.Ready == nil || *conditions.Ready,
		Terminating: conditions.Terminating != nil && *conditions.Terminating,
	}
	endpoint.Serving = endpoint.Ready
	if conditions.Serving != nil {
		endpoint.Serving = *conditions.Serving
	}
	if from.Hints != nil {
		for _, zone := range from.Hints.ForZones {
			endpoint.Zones = append(endpoint.Zones, zone.Name)
		}
		for _, hint := range from.Hints.ForNodes {
			endpoint.Nodes = append(endpoint.Nodes, hint.Name)
		}
	}
	return endpoint, true
}
