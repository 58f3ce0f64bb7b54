package controllers

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/septet-io/septet/controllers/nodeipam"
)

// ranges are what Nodes' Pod ranges are cut from, and what they must not overlap; none if Nodes get no ranges.
func (n *Nodes) ranges() ([]nodeipam.Range, []netip.Prefix, error) {
	if !n.AllocateCIDRs {
		return nil, nil, nil
	}
	var ranges []nodeipam.Range
	for _, text := range n.ClusterCIDRs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, nil, fmt.Errorf("--cluster-cidr: %w", err)
		}
		bits := orDefault(n.MaskSizeIPv4, 24)
		if prefix.Addr().Is6() {
			bits = orDefault(n.MaskSizeIPv6, 64)
		}
		ranges = append(ranges, nodeipam.Range{Cluster: prefix, NodeBits: bits})
	}
	var avoid []netip.Prefix
	for _, text := range n.ServiceCIDRs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, nil, fmt.Errorf("--service-cluster-ip-range: %w", err)
		}
		avoid = append(avoid, prefix)
	}
	return ranges, avoid, nil
}

// orDefault returns value, or fallback for the zero value.
func orDefault[T int | time.Duration](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}
