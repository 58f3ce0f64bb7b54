package services

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource/core"
)

func needsAddress(service *corev1.Service) bool {
	return service.Spec.Type != corev1.ServiceTypeExternalName && service.Spec.ClusterIP != corev1.ClusterIPNone
}

func headless(service *corev1.Service) bool {
	return service.Spec.Type != corev1.ServiceTypeExternalName && service.Spec.ClusterIP == corev1.ClusterIPNone
}

// keepAllocated fills what an update leaves out with what the Service has: clients that never saw the allocated values need
// not send them.
func keepAllocated(service, old *corev1.Service) {
	if needsAddress(old) && needsAddress(service) {
		if service.Spec.ClusterIP == "" {
			service.Spec.ClusterIP = old.Spec.ClusterIP
		}
		if len(service.Spec.ClusterIPs) == 0 && service.Spec.ClusterIP == old.Spec.ClusterIP {
			service.Spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
		}
	}
	if hasNodePorts(old) && hasNodePorts(service) {
		type key struct {
			protocol corev1.Protocol
			port     int32
		}
		known, used := map[key]int32{}, map[int32]bool{}
		for _, p := range old.Spec.Ports {
			known[key{p.Protocol, p.Port}] = p.NodePort
		}
		for _, p := range service.Spec.Ports {
			used[p.NodePort] = true
		}
		for i := range service.Spec.Ports {
			p := &service.Spec.Ports[i]
			if had := known[key{p.Protocol, p.Port}]; p.NodePort == 0 && had != 0 && !used[had] {
				p.NodePort = had
			}
		}
	}
	if needsHealthPort(old) && needsHealthPort(service) && service.Spec.HealthCheckNodePort == 0 {
		service.Spec.HealthCheckNodePort = old.Spec.HealthCheckNodePort
	}
}

func hasNodePorts(service *corev1.Service) bool {
	switch service.Spec.Type {
	case corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeLoadBalancer:
		return service.Spec.AllocateLoadBalancerNodePorts == nil || *service.Spec.AllocateLoadBalancerNodePorts
	}
	return false
}

func needsHealthPort(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// setFamilies fills in clusterIPs, ipFamilyPolicy and ipFamilies, each from the others and from what the cluster has.
// https://kubernetes.io/docs/concepts/services-networking/dual-stack/
func (a *Allocator) setFamilies(service, old *corev1.Service) field.ErrorList {
	spec := &service.Spec
	if spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	syncClusterIPs(service, old)
	if errs := core.ClusterIPs(service); len(errs) > 0 {
		return errs // nothing can be taken for it
	}
	if old != nil && old.Spec.Type != corev1.ServiceTypeExternalName {
		a.followPolicy(service, old)
	}
	families, errs := a.familiesOf(service)
	if len(errs) > 0 {
		return errs
	}
	spec.IPFamilies = families
	return nil
}

// syncClusterIPs keeps clusterIP the first of clusterIPs, whichever of them the client set.
func syncClusterIPs(service, old *corev1.Service) {
	spec := &service.Spec
	if spec.ClusterIP != "" && len(spec.ClusterIPs) == 0 {
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
	if old == nil {
		return
	}
	sameFirst := slices.Equal(spec.ClusterIPs, old.Spec.ClusterIPs)
	switch {
	case spec.ClusterIP != old.Spec.ClusterIP && sameFirst && spec.ClusterIP == "":
		spec.ClusterIPs = nil
	case spec.ClusterIP != old.Spec.ClusterIP && sameFirst:
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
}

// followPolicy drops or keeps the second family when an update changes the policy alone.
func (a *Allocator) followPolicy(service, old *corev1.Service) {
	spec := &service.Spec
	single := spec.IPFamilyPolicy != nil && *spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
	wasDual := old.Spec.IPFamilyPolicy != nil && *old.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack
	if single && wasDual {
		if len(spec.ClusterIPs) == 2 && slices.Equal(spec.ClusterIPs, old.Spec.ClusterIPs) {
			spec.ClusterIPs = spec.ClusterIPs[:1]
		}
		if len(spec.IPFamilies) == 2 && slices.Equal(spec.IPFamilies, old.Spec.IPFamilies) {
			spec.IPFamilies = spec.IPFamilies[:1]
		}
	}
	if spec.IPFamilyPolicy == nil {
		spec.IPFamilyPolicy = old.Spec.IPFamilyPolicy
	}
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = slices.Clone(old.Spec.IPFamilies)
	}
}

func (a *Allocator) familiesOf(service *corev1.Service) ([]corev1.IPFamily, field.ErrorList) {
	spec, path := &service.Spec, field.NewPath("spec")
	families := slices.Clone(spec.IPFamilies)
	var errs field.ErrorList
	for i, ip := range spec.ClusterIPs {
		address, err := netip.ParseAddr(ip)
		if err != nil {
			continue // "None", or what validation will refuse
		}
		family := familyOf(address)
		if i < len(families) && families[i] != family {
			errs = append(errs, field.Invalid(path.Child("ipFamilies").Index(i), families, fmt.Sprintf("expected an %s value as indicated by `spec.clusterIPs[%d]`", family, i)))
		}
		if i >= len(families) && i < 2 {
			families = append(families, family)
		}
	}
	policy := corev1.IPFamilyPolicySingleStack
	selectorless := headless(service) && len(spec.Selector) == 0
	switch {
	case spec.IPFamilyPolicy != nil:
		policy = *spec.IPFamilyPolicy
	case len(spec.ClusterIPs) == 2 || len(families) == 2 || selectorless:
		policy = corev1.IPFamilyPolicyRequireDualStack
	}
	spec.IPFamilyPolicy = &policy
	if len(families) == 0 {
		families = append(families, a.families[0])
	}
	if selectorless {
		// Its endpoints are somebody else's, who may have families that the cluster has not.
		if policy != corev1.IPFamilyPolicySingleStack && len(families) == 1 {
			families = append(families, otherFamily(families[0]))
		}
		return families, errs
	}
	for i, family := range families {
		if !slices.Contains(a.families, family) {
			errs = append(errs, field.Invalid(path.Child("ipFamilies").Index(i), family, "not configured on this cluster"))
		}
	}
	switch policy {
	case corev1.IPFamilyPolicyRequireDualStack:
		if len(a.families) < 2 {
			errs = append(errs, field.Invalid(path.Child("ipFamilyPolicy"), policy, "this cluster is not configured for dual-stack services"))
		}
	case corev1.IPFamilyPolicySingleStack:
		if len(families) == 2 {
			errs = append(errs, field.Invalid(path.Child("ipFamilyPolicy"), policy, "may be null or 'PreferDualStack' or 'RequireDualStack' when multiple values are specified for `ipFamilies`"))
		}
	}
	if policy != corev1.IPFamilyPolicySingleStack && len(families) == 1 && len(a.families) == 2 {
		families = append(families, otherFamily(families[0]))
	}
	return families, errs
}

func otherFamily(family corev1.IPFamily) corev1.IPFamily {
	if family == corev1.IPv4Protocol {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}
