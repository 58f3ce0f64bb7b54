package discovery

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestSlices(t *testing.T) {
	t.Parallel()
	slice := func(kind discoveryv1.AddressType, addresses ...string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{AddressType: kind, Endpoints: []discoveryv1.Endpoint{{Addresses: addresses}}}
	}
	expect(t, validateSlice(nil, slice("IPv4", "10.0.0.1")))
	expect(t, validateSlice(nil, slice("IPX", "10.0.0.1")), `addressType: Unsupported value: "IPX": supported values: "FQDN", "IPv4", "IPv6"`)
	expect(t, validateSlice(nil, slice("")), "addressType: Required value", "endpoints[0].addresses: Required value: must contain at least 1 address")
	expect(t, validateSlice(nil, slice("IPv4", "fd00::1", "127.0.0.1", "a")),
		`endpoints[0].addresses[0]: Invalid value: "fd00::1": must be an IPv4 address`,
		`endpoints[0].addresses[1]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`,
		`endpoints[0].addresses[2]: Invalid value: "a": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`)
	ported := slice("IPv6", "fd00::1")
	ported.Ports = []discoveryv1.EndpointPort{{}, {Name: ptr.To(""), Protocol: ptr.To(corev1.Protocol("ICMP"))}}
	ported.Endpoints[0].Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "a"}, {Name: "a"}}}
	expect(t, validateSliceUpdate(nil, ported, slice("IPv4")),
		`endpoints[0].hints.forZones[1].name: Duplicate value: "a"`,
		"ports[0].protocol: Required value",
		`ports[1].name: Duplicate value: ""`,
		`ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"`,
		`addressType: Invalid value: "IPv6": field is immutable`)
}
