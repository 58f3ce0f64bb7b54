package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

const onlyLoadBalancers = "may only be used when `type` is 'LoadBalancer'"

// loadBalancer checks the fields that only load balancers have.
func loadBalancer(s *corev1.Service) field.ErrorList {
	spec := &s.Spec
	is := spec.Type == corev1.ServiceTypeLoadBalancer
	var errs field.ErrorList
	if len(spec.LoadBalancerSourceRanges) > 0 {
		path := specPath.Child("LoadBalancerSourceRanges") // so spelt since ever
		if !is {
			errs = append(errs, field.Forbidden(path, onlyLoadBalancers))
		}
		for i, cidr := range spec.LoadBalancerSourceRanges {
			errs = append(errs, validation.IsValidCIDRForLegacyField(path.Index(i), strings.TrimSpace(cidr), false, nil)...)
		}
	} else if ranges, ok := s.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]; ok {
		path := metaPath.Child("annotations").Key(corev1.AnnotationLoadBalancerSourceRangesKey)
		if !is {
			errs = append(errs, field.Forbidden(path, onlyLoadBalancers))
		}
		if ranges = strings.TrimSpace(ranges); ranges != "" {
			for _, cidr := range strings.Split(ranges, ",") {
				errs = append(errs, validation.IsValidCIDRForLegacyField(path, strings.TrimSpace(cidr), false, nil)...)
			}
		}
	}
	if spec.AllocateLoadBalancerNodePorts != nil && !is {
		errs = append(errs, field.Forbidden(specPath.Child("allocateLoadBalancerNodePorts"), onlyLoadBalancers))
	}
	if spec.AllocateLoadBalancerNodePorts == nil && is {
		errs = append(errs, field.Required(specPath.Child("allocateLoadBalancerNodePorts"), "field is required when `type` is 'LoadBalancer'"))
	}
	if class := spec.LoadBalancerClass; class != nil {
		if is {
			errs = append(errs, QualifiedName(*class, specPath.Child("loadBalancerClass"))...)
		} else {
			errs = append(errs, field.Forbidden(specPath.Child("loadBalancerClass"), onlyLoadBalancers))
		}
	}
	return errs
}

// trafficPolicies checks how traffic is spread over endpoints.
func trafficPolicies(s *corev1.Service) field.ErrorList {
	spec := &s.Spec
	var errs field.ErrorList
	path := specPath.Child("externalTrafficPolicy")
	if externallyAccessible(s) {
		errs = append(errs, OneOf(spec.ExternalTrafficPolicy, path, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)...)
	} else if spec.ExternalTrafficPolicy != "" {
		errs = append(errs, field.Invalid(path, spec.ExternalTrafficPolicy, "may only be set for externally-accessible services"))
	}
	if !hasHealthPort(s) && spec.HealthCheckNodePort != 0 {
		errs = append(errs, field.Invalid(specPath.Child("healthCheckNodePort"), spec.HealthCheckNodePort,
			"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
	}
	internal := specPath.Child("internalTrafficPolicy")
	if spec.InternalTrafficPolicy == nil && spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(internal, ""))
	}
	errs = append(errs, oneOfIfSet(spec.InternalTrafficPolicy, internal, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	return append(errs, oneOfIfSet(spec.TrafficDistribution, specPath.Child("trafficDistribution"),
		corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)...)
}

const onceSet = "may not change once set"

// validateServiceUpdate: a second family may come and go, the first stays; ExternalName services are free.
func validateServiceUpdate(r *resource.Request, s, old *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	if s.Spec.Type != corev1.ServiceTypeExternalName && old.Spec.Type != corev1.ServiceTypeExternalName {
		if !headless(s) || !headless(old) {
			errs = append(errs, stackUpdate(s, s.Spec.ClusterIPs, old.Spec.ClusterIPs, specPath.Child("clusterIPs"), "clusterIP")...)
		}
		errs = append(errs, stackUpdate(s, s.Spec.IPFamilies, old.Spec.IPFamilies, specPath.Child("ipFamilies"), "ipFamily")...)
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && old.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		!ptr.Equal(s.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass) {
		errs = append(errs, field.Invalid(specPath.Child("loadBalancerClass"), s.Spec.LoadBalancerClass, onceSet))
	}
	return append(errs, validateService(r, s)...)
}

// stackUpdate compares a list of one thing per family with the list before.
func stackUpdate[S ~string](s *corev1.Service, now, old []S, path *field.Path, what string) field.ErrorList {
	var errs field.ErrorList
	switch {
	case len(now) == len(old):
		for i := range now {
			if now[i] != old[i] {
				errs = append(errs, field.Invalid(path.Index(i), now, onceSet))
			}
		}
	case len(now) == 0:
		errs = append(errs, field.Invalid(path.Index(0), now, "primary "+what+" can not be unset"))
	case len(old) > 0 && now[0] != old[0]:
		errs = append(errs, field.Invalid(path.Index(0), now, onceSet))
	}
	if policy := s.Spec.IPFamilyPolicy; len(old) > 1 && len(now) == 1 && (policy == nil || *policy != corev1.IPFamilyPolicySingleStack) {
		errs = append(errs, field.Invalid(specPath.Child("ipFamilyPolicy"), policy, "must be set to 'SingleStack' when releasing the secondary "+what))
	}
	return errs
}

func validateServiceStatus(_ *resource.Request, s, _ *corev1.Service) field.ErrorList {
	path := statusPath.Child("loadBalancer", "ingress")
	points := s.Status.LoadBalancer.Ingress
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer && len(points) > 0 {
		return field.ErrorList{field.Forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")}
	}
	var errs field.ErrorList
	for i, point := range points {
		at := path.Index(i)
		if point.IP != "" {
			errs = append(errs, legacyIP(point.IP, at.Child("ip"))...)
			if point.IPMode == nil {
				errs = append(errs, field.Required(at.Child("ipMode"), "must be specified when `ip` is set"))
			}
			errs = append(errs, oneOfIfSet(point.IPMode, at.Child("ipMode"), corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)...)
		} else if point.IPMode != nil {
			errs = append(errs, field.Forbidden(at.Child("ipMode"), "may not be specified when `ip` is not set"))
		}
		errs = append(errs, LoadBalancerHost(point.Hostname, at.Child("hostname"))...)
	}
	return errs
}

// LoadBalancerHost checks the host name under which a load balancer is reached.
func LoadBalancerHost(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return nil
	}
	errs := DNSSubdomain(name, path)
	if len(validation.IsValidIPForLegacyField(path, name, false, nil)) == 0 {
		errs = append(errs, field.Invalid(path, name, "must be a DNS name, not an IP address"))
	}
	return errs
}

// warnService warns about fields that have no effect.
func warnService(_ *resource.Request, s, _ *corev1.Service) []string {
	var warnings []string
	if _, ok := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]; ok {
		warnings = append(warnings, "annotation "+corev1.DeprecatedAnnotationTopologyAwareHints+" is deprecated, please use "+corev1.AnnotationTopologyMode+" instead")
	}
	if headless(s) {
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"loadBalancerIP", s.Spec.LoadBalancerIP != ""},
			{"externalIPs", len(s.Spec.ExternalIPs) > 0},
			{"SessionAffinity", s.Spec.SessionAffinity != corev1.ServiceAffinityNone},
		} {
			if f.set {
				warnings = append(warnings, "spec."+f.name+" is ignored for headless services")
			}
		}
	} else {
		for i, ip := range s.Spec.ClusterIPs {
			warnings = append(warnings, validation.GetWarningsForIP(specPath.Child("clusterIPs").Index(i), ip)...)
		}
	}
	for i, ip := range s.Spec.ExternalIPs {
		warnings = append(warnings, validation.GetWarningsForIP(specPath.Child("externalIPs").Index(i), ip)...)
	}
	if len(s.Spec.ExternalIPs) > 0 && !headless(s) && s.Spec.Type != corev1.ServiceTypeExternalName {
		warnings = append(warnings, "spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	}
	if s.Spec.LoadBalancerIP != "" {
		warnings = append(warnings, validation.GetWarningsForIP(specPath.Child("loadBalancerIP"), s.Spec.LoadBalancerIP)...)
	}
	for i, cidr := range s.Spec.LoadBalancerSourceRanges {
		warnings = append(warnings, validation.GetWarningsForCIDR(specPath.Child("loadBalancerSourceRanges").Index(i), cidr)...)
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName && len(s.Spec.ExternalIPs) > 0 {
		warnings = append(warnings, `spec.externalIPs is ignored when spec.type is "ExternalName"`)
	}
	if s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ExternalName != "" {
		warnings = append(warnings, `spec.externalName is ignored when spec.type is not "ExternalName"`)
	}
	if ptr.Deref(s.Spec.TrafficDistribution, "") == corev1.ServiceTrafficDistributionPreferClose {
		warnings = append(warnings, fmt.Sprintf("spec.trafficDistribution: %q is deprecated; use %q",
			corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone))
	}
	return warnings
}
