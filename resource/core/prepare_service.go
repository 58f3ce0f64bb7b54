package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// What the server allocates for a service (addresses, node ports) is allocated elsewhere; here is what follows from
// the old and the new object alone: what a client left out because it does not know it stays as it was, and
// what the new type does not have goes.

func prepareService(_ *resource.Request, service *corev1.Service) {
	if service.Spec.ClusterIP != "" && len(service.Spec.ClusterIPs) == 0 {
		service.Spec.ClusterIPs = []string{service.Spec.ClusterIP}
	}
}

func prepareServiceUpdate(_ *resource.Request, service, old *corev1.Service) {
	dropOtherTypes(service, old)
	keepAllocated(service, old)
	sameAddresses(service, old)
}

func hasClusterIP(s *corev1.Service) bool { return s.Spec.Type != corev1.ServiceTypeExternalName }

func hasNodePorts(s *corev1.Service) bool {
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeLoadBalancer:
		return ptr.Deref(s.Spec.AllocateLoadBalancerNodePorts, true)
	}
	return false
}

// mayHaveNodePorts is also true of one that wants no new node ports: it keeps those that it has.
func mayHaveNodePorts(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer
}

func hasHealthPort(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// dropOtherTypes clears what the new type has no use for, if the client did not change it.
func dropOtherTypes(service, old *corev1.Service) {
	now, before := &service.Spec, &old.Spec
	if hasClusterIP(old) && !hasClusterIP(service) {
		if now.ClusterIP == before.ClusterIP && slices.Equal(now.ClusterIPs, before.ClusterIPs) {
			now.ClusterIP, now.ClusterIPs = "", nil
		}
		if slices.Equal(now.IPFamilies, before.IPFamilies) {
			now.IPFamilies = nil
		}
		if ptr.Equal(now.IPFamilyPolicy, before.IPFamilyPolicy) {
			now.IPFamilyPolicy = nil
		}
	}
	if mayHaveNodePorts(old) && !mayHaveNodePorts(service) && sameNodePorts(service, old) {
		for i := range now.Ports {
			now.Ports[i].NodePort = 0
		}
	}
	if hasHealthPort(old) && !hasHealthPort(service) && now.HealthCheckNodePort == before.HealthCheckNodePort {
		now.HealthCheckNodePort = 0
	}
	if before.Type == corev1.ServiceTypeLoadBalancer && now.Type != corev1.ServiceTypeLoadBalancer {
		if ptr.Equal(now.AllocateLoadBalancerNodePorts, before.AllocateLoadBalancerNodePorts) {
			now.AllocateLoadBalancerNodePorts = nil
		}
		if ptr.Equal(now.LoadBalancerClass, before.LoadBalancerClass) {
			now.LoadBalancerClass = nil
		}
	}
	if externallyAccessible(old) && !externallyAccessible(service) && now.ExternalTrafficPolicy == before.ExternalTrafficPolicy {
		now.ExternalTrafficPolicy = ""
	}
}

func sameNodePorts(a, b *corev1.Service) bool {
	nodePorts := func(s *corev1.Service) []int32 {
		var list []int32
		for _, p := range s.Spec.Ports {
			if p.NodePort != 0 {
				list = append(list, p.NodePort)
			}
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	return slices.Equal(nodePorts(a), nodePorts(b))
}

// keepAllocated fills in what was allocated before and the client left out.
func keepAllocated(service, old *corev1.Service) {
	now, before := &service.Spec, &old.Spec
	if hasClusterIP(old) && hasClusterIP(service) {
		if now.ClusterIP == "" {
			now.ClusterIP = before.ClusterIP
		}
		if len(now.ClusterIPs) == 0 && now.ClusterIP == before.ClusterIP {
			now.ClusterIPs = slices.Clone(before.ClusterIPs)
		}
	}
	if hasNodePorts(old) && hasNodePorts(service) {
		keepNodePorts(now.Ports, before.Ports)
	}
	if hasHealthPort(old) && hasHealthPort(service) && now.HealthCheckNodePort == 0 {
		now.HealthCheckNodePort = before.HealthCheckNodePort
	}
}

// keepNodePorts: ports are told apart by their names, and a node port is not given twice.
func keepNodePorts(now, before []corev1.ServicePort) {
	type key struct {
		protocol corev1.Protocol
		port     int32
	}
	used, known := map[key]bool{}, map[string]int32{}
	for _, p := range now {
		used[key{p.Protocol, p.NodePort}] = true
	}
	for _, p := range before {
		known[p.Name] = p.NodePort
	}
	for i := range now {
		p := &now[i]
		if port := known[p.Name]; p.NodePort == 0 && port != 0 && !used[key{p.Protocol, port}] {
			p.NodePort = port
			used[key{p.Protocol, port}] = true
		}
	}
}

// sameAddresses lets clients that know only clusterIP change it: clusterIPs follows.
func sameAddresses(service, old *corev1.Service) {
	now, before := &service.Spec, &old.Spec
	if now.ClusterIP == before.ClusterIP || !slices.Equal(now.ClusterIPs, before.ClusterIPs) {
		return
	}
	now.ClusterIPs = nil
	if now.ClusterIP != "" {
		now.ClusterIPs = []string{now.ClusterIP}
	}
}
