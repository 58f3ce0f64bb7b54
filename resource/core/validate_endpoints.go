package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

func validateEndpoints(_ *resource.Request, endpoints *corev1.Endpoints) field.ErrorList {
	var errs field.ErrorList
	for i := range endpoints.Subsets {
		subset, at := &endpoints.Subsets[i], field.NewPath("subsets").Index(i)
		if len(subset.Addresses) == 0 && len(subset.NotReadyAddresses) == 0 {
			errs = append(errs, field.Required(at, "must specify `addresses` or `notReadyAddresses`"))
		}
		for j := range subset.Addresses {
			errs = append(errs, endpointAddress(&subset.Addresses[j], at.Child("addresses").Index(j))...)
		}
		for j := range subset.NotReadyAddresses {
			errs = append(errs, endpointAddress(&subset.NotReadyAddresses[j], at.Child("notReadyAddresses").Index(j))...)
		}
		for j := range subset.Ports {
			errs = append(errs, endpointPort(&subset.Ports[j], len(subset.Ports) > 1, at.Child("ports").Index(j))...)
		}
	}
	return errs
}

func validateEndpointsUpdate(r *resource.Request, endpoints, _ *corev1.Endpoints) field.ErrorList {
	return validateEndpoints(r, endpoints)
}

func endpointAddress(address *corev1.EndpointAddress, path *field.Path) field.ErrorList {
	errs := legacyIP(address.IP, path.Child("ip"))
	if address.Hostname != "" {
		errs = append(errs, DNSLabel(address.Hostname, path.Child("hostname"))...)
	}
	if address.NodeName != nil {
		errs = append(errs, DNSSubdomain(*address.NodeName, path.Child("nodeName"))...)
	}
	if len(errs) == 0 {
		errs = append(errs, OrdinaryIP(address.IP, path.Child("ip"))...)
	}
	return errs
}

func endpointPort(port *corev1.EndpointPort, named bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if port.Name != "" {
		errs = append(errs, DNSLabel(port.Name, path.Child("name"))...)
	} else if named {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	errs = append(errs, invalidEach(path.Child("port"), port.Port, validation.IsValidPortNum(int(port.Port)))...)
	errs = append(errs, protocol(port.Protocol, path.Child("protocol"))...)
	if port.AppProtocol != nil {
		errs = append(errs, QualifiedName(*port.AppProtocol, path.Child("appProtocol"))...)
	}
	return errs
}
