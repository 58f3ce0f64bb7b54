package resourceapi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	resourcev1 "k8s.io/api/resource/v1"
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

func TestClaims(t *testing.T) {
	t.Parallel()
	claim := func(requests ...resourcev1.DeviceRequest) *resourcev1.ResourceClaim {
		c := &resourcev1.ResourceClaim{Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: requests}}}
		defaultClaim(&c.Spec)
		return c
	}
	gpu := resourcev1.DeviceRequest{Name: "gpu", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu"}}
	expect(t, validateClaim(nil, claim(gpu)))
	expect(t, validateClaim(nil, claim(gpu, resourcev1.DeviceRequest{Name: "gpu"}, resourcev1.DeviceRequest{
		Name: "all", Exactly: &resourcev1.ExactDeviceRequest{AllocationMode: "All", Count: 2, Selectors: []resourcev1.DeviceSelector{{}}},
	})),
		"spec.devices.requests[1]: Required value: exactly one of `exactly` or `firstAvailable` is required",
		`spec.devices.requests[1].name: Duplicate value: "gpu"`,
		"spec.devices.requests[2].exactly.deviceClassName: Required value",
		"spec.devices.requests[2].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
		"spec.devices.requests[2].exactly.selectors[0].cel: Required value")
	reserved := claim(gpu)
	reserved.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{Name: "pod"}}
	expect(t, validateClaimStatus(nil, reserved, claim(gpu)), "status.reservedFor: Forbidden: may not be specified when `allocated` is not set")
	if errs := validateClaimUpdate(nil, claim(), claim(gpu)); len(errs) != 1 || errs[0].Detail != "field is immutable" {
		t.Error(errs)
	}
}

func TestSlices(t *testing.T) {
	t.Parallel()
	slice := &resourcev1.ResourceSlice{Spec: resourcev1.ResourceSliceSpec{
		Driver: "gpu.example.com", Pool: resourcev1.ResourcePool{Name: "n", ResourceSliceCount: 1}, NodeName: ptr.To("n"), Devices: []resourcev1.Device{{Name: "a"}},
	}}
	expect(t, validateSlice(nil, slice))
	moved := slice.DeepCopy()
	moved.Spec.NodeName, moved.Spec.Pool.ResourceSliceCount = nil, 0
	moved.Spec.Devices = append(moved.Spec.Devices, resourcev1.Device{Name: "a"})
	expect(t, validateSliceUpdate(nil, moved, slice),
		"spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
		"spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
		`spec.devices[1].name: Duplicate value: "a"`,
		"spec.nodeName: Invalid value: null: field is immutable")
}
