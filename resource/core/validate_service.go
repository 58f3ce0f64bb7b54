package core

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/septet-io/septet/resource"
)

func headless(s *corev1.Service) bool {
	return len(s.Spec.ClusterIPs) == 1 && s.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

// validateService checks a service with all that was allocated for it.
func validateService(_ *resource.Request, s *corev1.Service) field.ErrorList {
	spec := &s.Spec
	errs := topologyAnnotations(s)
	if len(spec.Ports) == 0 && !headless(s) && spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(specPath.Child("ports"), ""))
	}
	errs = append(errs, serviceType(s)...)
	errs = append(errs, servicePortList(s)...)
	errs = append(errs, metav1validation.ValidateLabels(spec.Selector, specPath.Child("selector"))...)
	errs = append(errs, sessionAffinity(spec)...)
	errs = append(errs, ClusterIPs(s)...)
	for i, ip := range spec.ExternalIPs {
		at := specPath.Child("externalIPs").Index(i)
		if wrong := legacyIP(ip, at); len(wrong) > 0 {
			errs = append(errs, wrong...)
		} else {
			errs = append(errs, OrdinaryIP(ip, at)...)
		}
	}
	errs = append(errs, OneOf(spec.Type, specPath.Child("type"), corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName,
		corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)...)
	errs = append(errs, loadBalancer(s)...)
	return append(errs, trafficPolicies(s)...)
}

// topologyAnnotations: the annotation has had two names, which must not contradict each other.
func topologyAnnotations(s *corev1.Service) field.ErrorList {
	hints, old := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	mode, now := s.Annotations[corev1.AnnotationTopologyMode]
	if !old || !now || hints == mode {
		return nil
	}
	return field.ErrorList{field.Invalid(metaPath.Child("annotations").Key(corev1.AnnotationTopologyMode), mode,
		fmt.Sprintf("must match annotations[%s] when both are specified", corev1.DeprecatedAnnotationTopologyAwareHints))}
}

// serviceType checks what each type of service must and must not have.
func serviceType(s *corev1.Service) field.ErrorList {
	spec := &s.Spec
	var errs field.ErrorList
	switch spec.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if headless(s) {
			errs = append(errs, field.Invalid(specPath.Child("clusterIPs").Index(0), spec.ClusterIPs[0],
				fmt.Sprintf("may not be set to 'None' for %s services", spec.Type)))
		}
	case corev1.ServiceTypeExternalName:
		const not = "may not be set for ExternalName services"
		if len(spec.ClusterIPs) > 0 {
			errs = append(errs, field.Forbidden(specPath.Child("clusterIPs"), not))
		}
		if len(spec.IPFamilies) > 0 {
			errs = append(errs, field.Forbidden(specPath.Child("ipFamilies"), not))
		}
		if spec.IPFamilyPolicy != nil {
			errs = append(errs, field.Forbidden(specPath.Child("ipFamilyPolicy"), not))
		}
		if name := strings.TrimSuffix(spec.ExternalName, "."); name == "" {
			errs = append(errs, field.Required(specPath.Child("externalName"), ""))
		} else {
			errs = append(errs, DNSSubdomain(name, specPath.Child("externalName"))...)
		}
	}
	return errs
}

// servicePortList checks ports one by one and against each other.
func servicePortList(s *corev1.Service) field.ErrorList {
	type key struct {
		protocol corev1.Protocol
		port     int32
	}
	var errs, later field.ErrorList
	names, ports, nodePorts := sets.New[string](), sets.New[key](), sets.New[key]()
	for i := range s.Spec.Ports {
		port, at := &s.Spec.Ports[i], specPath.Child("ports").Index(i)
		switch {
		case port.Name != "":
			errs = append(errs, DNSLabel(port.Name, at.Child("name"))...)
			if names.Has(port.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), port.Name))
			}
			names.Insert(port.Name)
		case len(s.Spec.Ports) > 1:
			errs = append(errs, field.Required(at.Child("name"), ""))
		}
		errs = append(errs, invalidEach(at.Child("port"), port.Port, validation.IsValidPortNum(int(port.Port)))...)
		errs = append(errs, protocol(port.Protocol, at.Child("protocol"))...)
		errs = append(errs, portOrName(port.TargetPort, at.Child("targetPort"))...)
		if port.AppProtocol != nil {
			errs = append(errs, QualifiedName(*port.AppProtocol, at.Child("appProtocol"))...)
		}
		if s.Spec.Type == corev1.ServiceTypeClusterIP && port.NodePort != 0 {
			later = append(later, field.Forbidden(at.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
		if node := (key{port.Protocol, port.NodePort}); port.NodePort != 0 {
			if nodePorts.Has(node) {
				later = append(later, field.Duplicate(at.Child("nodePort"), port.NodePort))
			}
			nodePorts.Insert(node)
		}
		if own := (key{port.Protocol, port.Port}); ports.Has(own) {
			later = append(later, field.Duplicate(at, corev1.ServicePort{Protocol: port.Protocol, Port: port.Port}))
		} else {
			ports.Insert(own)
		}
	}
	return append(errs, later...)
}

func sessionAffinity(spec *corev1.ServiceSpec) field.ErrorList {
	errs := OneOf(spec.SessionAffinity, specPath.Child("sessionAffinity"), corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	path, config := specPath.Child("sessionAffinityConfig"), spec.SessionAffinityConfig
	if spec.SessionAffinity == corev1.ServiceAffinityNone && config != nil {
		return append(errs, field.Forbidden(path, fmt.Sprintf("must not be set when session affinity is %s", corev1.ServiceAffinityNone)))
	}
	if spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return errs
	}
	needed := fmt.Sprintf("when session affinity type is %s", corev1.ServiceAffinityClientIP)
	const longest = 24 * 60 * 60
	switch {
	case config == nil:
		return append(errs, field.Required(path, needed))
	case config.ClientIP == nil:
		return append(errs, field.Required(path.Child("clientIP"), needed))
	case config.ClientIP.TimeoutSeconds == nil:
		return append(errs, field.Required(path.Child("clientIP", "timeoutSeconds"), needed))
	case *config.ClientIP.TimeoutSeconds <= 0 || *config.ClientIP.TimeoutSeconds > longest:
		return append(errs, field.Invalid(path.Child("clientIP", "timeoutSeconds"), *config.ClientIP.TimeoutSeconds,
			fmt.Sprintf("must be greater than 0 and less than %d", longest)))
	}
	return errs
}

// ClusterIPs checks addresses, families and policy against each other (KEP-563).
func ClusterIPs(s *corev1.Service) field.ErrorList {
	spec := &s.Spec
	if spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	var errs field.ErrorList
	path, families := specPath.Child("clusterIPs"), specPath.Child("ipFamilies")
	if spec.ClusterIP == "" && len(spec.ClusterIPs) > 0 {
		errs = append(errs, field.Invalid(path, spec.ClusterIPs, "must be empty when `clusterIP` is not specified"))
	}
	if spec.ClusterIP != "" && len(spec.ClusterIPs) > 0 && spec.ClusterIPs[0] != spec.ClusterIP {
		errs = append(errs, field.Invalid(path, spec.ClusterIPs, "first value must match `clusterIP`"))
	}
	seen := sets.New[corev1.IPFamily]()
	for i, family := range spec.IPFamilies {
		errs = append(errs, oneOfIfSet(&family, families.Index(i), corev1.IPv4Protocol, corev1.IPv6Protocol)...)
		if seen.Has(family) {
			errs = append(errs, field.Duplicate(families.Index(i), family))
		}
		seen.Insert(family)
	}
	errs = append(errs, oneOfIfSet(spec.IPFamilyPolicy, specPath.Child("ipFamilyPolicy"),
		corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack)...)
	more, unusable := addresses(spec.ClusterIPs, path)
	errs = append(errs, more...)
	if unusable {
		return errs // what follows would only confuse
	}
	if len(spec.ClusterIPs) > 1 {
		if dual, err := netutils.IsDualStackIPStrings(spec.ClusterIPs); err != nil || !dual {
			errs = append(errs, field.Invalid(path, spec.ClusterIPs, "may specify no more than one IP for each IP family"))
		}
	}
	if headless(s) || len(errs) > 0 {
		return errs
	}
	for i, ip := range spec.ClusterIPs {
		if i >= len(spec.IPFamilies) {
			break
		}
		if family := spec.IPFamilies[i]; netutils.IsIPv6String(ip) != (family == corev1.IPv6Protocol) {
			errs = append(errs, field.Invalid(path.Index(i), ip, fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%v]`", family, i)))
		}
	}
	return errs
}

func addresses(ips []string, path *field.Path) (errs field.ErrorList, unusable bool) {
	seen := sets.New[string]()
	for i, ip := range ips {
		if i == 0 && ip == corev1.ClusterIPNone {
			if len(ips) > 1 {
				unusable = true
				errs = append(errs, field.Invalid(path, ips, "'None' must be the first and only value"))
			}
			continue
		}
		wrong := legacyIP(ip, path.Index(i))
		unusable = unusable || len(wrong) > 0
		errs = append(errs, wrong...)
		if seen.Has(ip) {
			errs = append(errs, field.Duplicate(path.Index(i), ip))
		}
		seen.Insert(ip)
	}
	if len(ips) > 2 {
		errs = append(errs, field.Invalid(path, ips, "may only hold up to 2 values"))
	}
	return errs, unusable
}

// OrdinaryIP refuses addresses that only mean something on one machine.
func OrdinaryIP(ip string, path *field.Path) field.ErrorList {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		if parsed := netutils.ParseIPSloppy(ip); parsed != nil {
			address, _ = netip.AddrFromSlice(parsed.To16())
		}
	}
	address = address.Unmap()
	wrong := func(detail string) field.ErrorList { return field.ErrorList{field.Invalid(path, ip, detail)} }
	switch {
	case !address.IsValid():
		return wrong("must be a valid IP address")
	case address.IsUnspecified():
		return wrong(fmt.Sprintf("may not be unspecified (%v)", ip))
	case address.IsLoopback():
		return wrong("may not be in the loopback range (127.0.0.0/8, ::1/128)")
	case address.IsLinkLocalUnicast():
		return wrong("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
	case address.IsLinkLocalMulticast():
		return wrong("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
	}
	return nil
}
