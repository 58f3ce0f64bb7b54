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

// Version v1 has no topology: it goes with the first change, and leaves the name of the node that it told.
func TestTopologyIsDropped(t *testing.T) {
	t.Parallel()
	kind := EndpointSlices()
	slice := func() *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{"10.0.0.1"}, DeprecatedTopology: map[string]string{"kubernetes.io/hostname": "node-1"},
		}}}
	}
	made := slice()
	kind.PrepareCreate(nil, made)
	if made.Endpoints[0].DeprecatedTopology != nil || made.Endpoints[0].NodeName != nil {
		t.Errorf("created with %+v", made.Endpoints[0])
	}
	same := slice()
	kind.PrepareUpdate(nil, same, slice())
	if same.Endpoints[0].DeprecatedTopology == nil || same.Generation != 0 {
		t.Errorf("without a change: %+v", same)
	}
	changed := slice()
	changed.Endpoints[0].Addresses[0] = "10.0.0.2"
	kind.PrepareUpdate(nil, changed, slice())
	if e := changed.Endpoints[0]; e.DeprecatedTopology != nil || ptr.Deref(e.NodeName, "") != "node-1" || changed.Generation != 1 {
		t.Errorf("after a change: %+v", changed)
	}
	labelled := slice()
	labelled.Labels = map[string]string{"kubernetes.io/service-name": "other"}
	kind.PrepareUpdate(nil, labelled, slice())
	if labelled.Generation != 1 {
		t.Error("labels do not count for the generation")
	}
}
