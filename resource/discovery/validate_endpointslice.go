package discovery

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// Limits of a slice.
const (
	maxEndpoints = 1000
	maxAddresses = 100
	maxPorts     = 20000
	maxHints     = 8
)

func validateSlice(_ *resource.Request, slice *discoveryv1.EndpointSlice) field.ErrorList {
	errs := core.OneOf(slice.AddressType, field.NewPath("addressType"),
		discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)
	errs = append(errs, endpoints(slice.Endpoints, slice.AddressType, field.NewPath("endpoints"))...)
	return append(errs, slicePorts(slice.Ports, field.NewPath("ports"))...)
}

func validateSliceUpdate(r *resource.Request, slice, old *discoveryv1.EndpointSlice) field.ErrorList {
	return append(validateSlice(r, slice), core.Immutable(slice.AddressType, old.AddressType, field.NewPath("addressType"))...)
}

func endpoints(list []discoveryv1.Endpoint, kind discoveryv1.AddressType, path *field.Path) field.ErrorList {
	if len(list) > maxEndpoints {
		return field.ErrorList{field.TooMany(path, len(list), maxEndpoints)}
	}
	var errs field.ErrorList
	for i := range list {
		e, at := &list[i], path.Index(i)
		errs = append(errs, endpointAddresses(e.Addresses, kind, at.Child("addresses"))...)
		if name := e.NodeName; name != nil {
			errs = append(errs, core.InvalidEach(at.Child("nodeName"), *name, apivalidation.NameIsDNSSubdomain(*name, false))...)
		}
		errs = append(errs, metav1validation.ValidateLabels(e.DeprecatedTopology, at.Child("deprecatedTopology"))...)
		if host := e.Hostname; host != nil {
			errs = append(errs, core.DNSLabel(*host, at.Child("hostname"))...)
		}
		if e.Hints != nil {
			errs = append(errs, hints(e.Hints, at.Child("hints"))...)
		}
	}
	return errs
}

func endpointAddresses(list []string, kind discoveryv1.AddressType, at *field.Path) field.ErrorList {
	switch {
	case len(list) == 0:
		return field.ErrorList{field.Required(at, "must contain at least 1 address")}
	case len(list) > maxAddresses:
		return field.ErrorList{field.TooMany(at, len(list), maxAddresses)}
	}
	var errs field.ErrorList
	for i, address := range list {
		errs = append(errs, endpointAddress(address, kind, at.Index(i))...)
	}
	return errs
}

func endpointAddress(address string, kind discoveryv1.AddressType, at *field.Path) field.ErrorList {
	switch kind {
	case discoveryv1.AddressTypeFQDN:
		return validation.IsFullyQualifiedDomainName(at, address)
	case discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6:
	default:
		return nil // the type is reported
	}
	errs := core.LegacyIP(address, at)
	if len(errs) > 0 {
		return errs
	}
	if six := netutils.IsIPv6String(address); six && kind == discoveryv1.AddressTypeIPv4 {
		errs = append(errs, field.Invalid(at, address, "must be an IPv4 address"))
	} else if !six && kind == discoveryv1.AddressTypeIPv6 {
		errs = append(errs, field.Invalid(at, address, "must be an IPv6 address"))
	}
	return append(errs, core.OrdinaryIP(address, at)...)
}

func hints(h *discoveryv1.EndpointHints, path *field.Path) field.ErrorList {
	zones, nodes := make([]string, len(h.ForZones)), make([]string, len(h.ForNodes))
	for i, zone := range h.ForZones {
		zones[i] = zone.Name
	}
	for i, node := range h.ForNodes {
		nodes[i] = node.Name
	}
	errs := hintNames(zones, path.Child("forZones"), validation.IsValidLabelValue)
	return append(errs, hintNames(nodes, path.Child("forNodes"), validation.IsDNS1123Subdomain)...)
}

func hintNames(names []string, path *field.Path, check func(string) []string) field.ErrorList {
	if len(names) > maxHints {
		return field.ErrorList{field.TooMany(path, len(names), maxHints)}
	}
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, name := range names {
		at := path.Index(i).Child("name")
		if seen.Has(name) {
			errs = append(errs, field.Duplicate(at, name))
		}
		seen.Insert(name)
		errs = append(errs, core.InvalidEach(at, name, check(name))...)
	}
	return errs
}

func slicePorts(list []discoveryv1.EndpointPort, path *field.Path) field.ErrorList {
	if len(list) > maxPorts {
		return field.ErrorList{field.TooMany(path, len(list), maxPorts)}
	}
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, port := range list {
		at, name := path.Index(i), ""
		if port.Name != nil {
			name = *port.Name
		}
		if name != "" {
			errs = append(errs, core.DNSLabel(name, at.Child("name"))...)
		}
		if seen.Has(name) {
			errs = append(errs, field.Duplicate(at.Child("name"), name))
		}
		seen.Insert(name)
		if port.Protocol == nil {
			errs = append(errs, field.Required(at.Child("protocol"), ""))
		} else {
			errs = append(errs, core.OneOfIfSet(port.Protocol, at.Child("protocol"), corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
		}
		if port.AppProtocol != nil {
			errs = append(errs, core.QualifiedName(*port.AppProtocol, at.Child("appProtocol"))...)
		}
	}
	return errs
}
