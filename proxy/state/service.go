// Package state is what the proxy knows of Services and their endpoints: small values taken from the API's objects, and which of them
// have changed since somebody last looked. It does no I/O.
package state

import (
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Service is one Service with all that serves it. It is never changed after it was made.
type Service struct {
	Name types.NamespacedName
	// ClusterIPs, and the addresses outside the cluster that lead to it. LoadBalancerIPs are those that a balancer passes on unchanged (ipMode VIP).
	ClusterIPs, ExternalIPs, LoadBalancerIPs []netip.Addr
	// SourceRanges, if any, are who may use LoadBalancerIPs.
	SourceRanges []netip.Prefix
	// InternalLocal and ExternalLocal are the traffic policies Local: only endpoints on this node serve.
	InternalLocal, ExternalLocal bool
	// Affinity is how long a client stays with its endpoint; 0 is not at all.
	Affinity time.Duration
	// HealthCheckPort is where this node tells whether it has local endpoints; 0 is nowhere.
	HealthCheckPort uint16
	Ports           []Port
}

// Port is one port of a Service.
type Port struct {
	Name string
	// Protocol is the IP protocol number: 6, 17 or 132.
	Protocol uint8
	Port     uint16
	NodePort uint16 // 0: none
	// Endpoints in the order of their addresses, both IP families, each address and port once.
	Endpoints []Endpoint
}

// Endpoint is one address that may serve a port.
type Endpoint struct {
	Addr netip.AddrPort
	// Local means on this node.
	Local bool
	// Ready for new connections; Serving although perhaps Terminating.
	Ready, Serving, Terminating bool
	// Zones and Nodes are where traffic to this endpoint should come from, by its hints.
	Zones, Nodes []string
}

// External says whether the Service can be reached from outside the cluster at all.
func (s *Service) External() bool {
	if len(s.ExternalIPs) > 0 || len(s.LoadBalancerIPs) > 0 {
		return true
	}
	for i := range s.Ports {
		if s.Ports[i].NodePort != 0 {
			return true
		}
	}
	return false
}

// IP protocol numbers.
const (
	TCP  uint8 = 6
	UDP  uint8 = 17
	SCTP uint8 = 132
)
