package servicecidr

import (
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// Removable says whether every address of a Service that lies in cidr also lies in another range of all.
func Removable(cidr *networkingv1.ServiceCIDR, all []*networkingv1.ServiceCIDR, addresses []*networkingv1.IPAddress) bool {
	others := slices.DeleteFunc(slices.Clone(all), func(other *networkingv1.ServiceCIDR) bool { return other.Name == cidr.Name })
	if within(cidr, others) {
		return true
	}
	for _, address := range addresses {
		ip, ok := ofService(address)
		if !ok || !contains(cidr, ip) {
			continue
		}
		if !slices.ContainsFunc(others, func(other *networkingv1.ServiceCIDR) bool { return contains(other, ip) }) {
			return false
		}
	}
	return true
}

// within says whether each of the prefixes lies in one of the others'. It saves looking at every address.
func within(cidr *networkingv1.ServiceCIDR, others []*networkingv1.ServiceCIDR) bool {
	for _, inner := range prefixes(cidr) {
		covered := slices.ContainsFunc(others, func(other *networkingv1.ServiceCIDR) bool {
			return slices.ContainsFunc(prefixes(other), func(outer netip.Prefix) bool {
				return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
			})
		})
		if !covered {
			return false
		}
	}
	return true
}

func contains(cidr *networkingv1.ServiceCIDR, ip netip.Addr) bool {
	return slices.ContainsFunc(prefixes(cidr), func(prefix netip.Prefix) bool { return prefix.Contains(ip) })
}

func overlap(a, b *networkingv1.ServiceCIDR) bool {
	return slices.ContainsFunc(prefixes(a), func(one netip.Prefix) bool { return slices.ContainsFunc(prefixes(b), one.Overlaps) })
}

// prefixes are those that can be read; validation lets no others in.
func prefixes(cidr *networkingv1.ServiceCIDR) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range cidr.Spec.CIDRs {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			out = append(out, prefix.Masked())
		}
	}
	return out
}
