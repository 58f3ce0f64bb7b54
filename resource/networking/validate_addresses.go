package networking

import (
	"fmt"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// addressName: an IPAddress is named after the address, which can be written in one way only.
func addressName(name string, _ bool) []string {
	address, err := netip.ParseAddr(name)
	if err != nil {
		return []string{err.Error()}
	}
	if address.String() != name {
		return []string{"must be a canonical format IP address"}
	}
	return nil
}

func validateIPAddress(_ *resource.Request, address *networkingv1.IPAddress) field.ErrorList {
	at, ref := specPath.Child("parentRef"), address.Spec.ParentRef
	if ref == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	var errs field.ErrorList
	if ref.Group != "" {
		errs = append(errs, core.DNSSubdomain(ref.Group, at.Child("group"))...)
	}
	errs = append(errs, segment(ref.Resource, at.Child("resource"))...)
	errs = append(errs, segment(ref.Name, at.Child("name"))...)
	if ref.Namespace != "" {
		errs = append(errs, core.InvalidEach(at.Child("namespace"), ref.Namespace, path.IsValidPathSegmentName(ref.Namespace))...)
	}
	return errs
}

func validateIPAddressUpdate(_ *resource.Request, address, old *networkingv1.IPAddress) field.ErrorList {
	errs := core.Immutable(address.Spec.ParentRef, old.Spec.ParentRef, specPath.Child("parentRef"))
	return append(errs, validateIPAddress(nil, address)...)
}

func validateServiceCIDR(_ *resource.Request, c *networkingv1.ServiceCIDR) field.ErrorList {
	at, cidrs := specPath.Child("cidrs"), c.Spec.CIDRs
	switch {
	case len(cidrs) == 0:
		return field.ErrorList{field.Required(at, "at least one CIDR required")}
	case len(cidrs) > 2:
		return field.ErrorList{field.Invalid(at, cidrs, "may only hold up to 2 values")}
	}
	var errs field.ErrorList
	if len(cidrs) == 2 {
		switch dual, err := netutils.IsDualStackCIDRStrings(cidrs); {
		case err != nil:
			errs = append(errs, field.Invalid(at, cidrs, err.Error()))
		case !dual:
			errs = append(errs, field.Invalid(at, cidrs, fmt.Sprintf("may specify no more than one IP for each IP family, i.e %v", cidrs)))
		}
	}
	for i, cidr := range cidrs {
		errs = append(errs, validation.IsValidCIDR(at.Index(i), cidr)...)
	}
	return errs
}

// validateServiceCIDRUpdate lets a second family come, and nothing else change.
func validateServiceCIDRUpdate(r *resource.Request, c, old *networkingv1.ServiceCIDR) field.ErrorList {
	if len(old.Spec.CIDRs) == 1 && len(c.Spec.CIDRs) == 2 && slices.Equal(old.Spec.CIDRs, c.Spec.CIDRs[:1]) {
		return validateServiceCIDR(r, c)
	}
	if len(old.Spec.CIDRs) != len(c.Spec.CIDRs) {
		return core.Immutable(c.Spec.CIDRs, old.Spec.CIDRs, specPath.Child("cidrs"))
	}
	var errs field.ErrorList
	for i, cidr := range c.Spec.CIDRs {
		errs = append(errs, core.Immutable(cidr, old.Spec.CIDRs[i], specPath.Child("cidrs").Index(i))...)
	}
	return errs
}
