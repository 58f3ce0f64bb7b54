package resourceapi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	resourcev1 "k8s.io/api/resource/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
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
		"spec.devices.requests[2].exactly.deviceClassName: Required value",
		"spec.devices.requests[2].exactly.selectors[0].cel: Required value",
		"spec.devices.requests[2].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
		`spec.devices.requests[1]: Duplicate value: "gpu"`)
	reserved := claim(gpu)
	reserved.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{Resource: "pods", Name: "pod", UID: "u"}}
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
		`spec.devices[1]: Duplicate value: "a"`,
		"spec.nodeName: Invalid value: null: field is immutable")
}

func TestDevices(t *testing.T) {
	t.Parallel()
	check := func(d resourcev1.Device) field.ErrorList { return device(&d, nil, false, field.NewPath("d")) }
	expect(t, check(resourcev1.Device{
		Name:       "a",
		Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"version": {VersionValue: ptr.To("1.2.3-rc.1+b")}, "d.example/model": {StringValue: ptr.To("x")}},
		Taints:     []resourcev1.DeviceTaint{{Key: "k", Effect: "NoSchedule"}},
	}))
	expect(t, check(resourcev1.Device{
		Name:       "A",
		Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"a": {}, "b": {VersionValue: ptr.To("1.2")}, "/c": {BoolValue: ptr.To(true)}},
		Capacity: map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{
			"memory": {Value: apiresource.MustParse("4"), RequestPolicy: &resourcev1.CapacityRequestPolicy{}},
		},
		Taints:            []resourcev1.DeviceTaint{{Key: "k", Effect: "Maybe"}},
		AllNodes:          ptr.To(true),
		BindingConditions: []string{"ready"},
	}),
		`d.name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
		`d.attributes: Invalid value: "": the domain must not be empty`,
		`d.attributes[a]: Invalid value: "": exactly one value must be specified`,
		`d.attributes[b].version: Invalid value: "1.2": must be a string compatible with semver.org spec 2.0.0`,
		"d.capacity[memory].requestPolicy: Forbidden: allowMultipleAllocations must be true",
		`d.taints[0].effect: Unsupported value: "Maybe": supported values: "NoExecute", "NoSchedule", "None"`,
		"d: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec",
		"d.bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions")
}

func TestPortions(t *testing.T) {
	t.Parallel()
	amount := apiresource.MustParse
	check := func(p resourcev1.CapacityRequestPolicy) field.ErrorList {
		return capacity(resourcev1.DeviceCapacity{Value: amount("8"), RequestPolicy: &p}, true, field.NewPath("c"))
	}
	half, two := amount("4"), amount("2")
	expect(t, check(resourcev1.CapacityRequestPolicy{Default: &half, ValidRange: &resourcev1.CapacityRequestPolicyRange{Min: &two, Step: &two}}))
	expect(t, check(resourcev1.CapacityRequestPolicy{Default: &half, ValidValues: []apiresource.Quantity{amount("9"), two}}),
		`c.requestPolicy.validValues[1]: Invalid value: "2": values must be sorted in ascending order`,
		`c.requestPolicy.validValues[0]: Invalid value: "9": option is larger than capacity value: 8`,
		`c.requestPolicy.validValues: Invalid value: "4": default value is not valid according to the requestPolicy`)
	three := amount("3")
	expect(t, check(resourcev1.CapacityRequestPolicy{Default: &three, ValidRange: &resourcev1.CapacityRequestPolicyRange{Min: &half, Step: &two}}),
		`c.requestPolicy.validRange.min: Invalid value: "3": default is less than min: 4`,
		`c.requestPolicy.validRange.step: Invalid value: "3": value is not a multiple of a given step (2) from (4)`)
	expect(t, check(resourcev1.CapacityRequestPolicy{ValidValues: []apiresource.Quantity{two}}), "c.requestPolicy.default: Required value: required when validValues is defined")
}

func TestAllocations(t *testing.T) {
	t.Parallel()
	old := &resourcev1.ResourceClaim{Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{Name: "gpu"}}}}}
	c := old.DeepCopy()
	c.Status.Allocation = &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{
		Results: []resourcev1.DeviceRequestAllocationResult{{Request: "gpu", Driver: "d.example", Pool: "p/q", Device: "a"}, {Request: "nic", Driver: "d.example", Pool: "p", Device: "b"}},
	}}
	c.Status.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: "d.example", Pool: "p/q", Device: "a"}, {Driver: "d.example", Pool: "p", Device: "c"}}
	expect(t, validateClaimStatus(nil, c, old),
		`status.devices[1]: Invalid value: "d.example/p/c": must be an allocated device in the claim`,
		`status.allocation.devices.results[1].request: Invalid value: "nic": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'`)
}

// Selectors must compile, be conditions, and end in time: a scheduler asks them of every device.
func TestSelectorsAreCompiled(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`device.driver == "d.example.com"`:           "",
		`device.attributes["d.example.com"].healthy`: "",
		`cel.bind(d, device.attributes["d.example.com"], d.model == "a" && d.version.isGreaterThan(semver("1.0.0")))`: "",
		`device.capacity["d.example.com"].memory.compareTo(quantity("10Gi")) >= 0`:                                    "",
		`device.allowMultipleAllocations`: "",
		`device.nosuch == 1`: "spec.selectors[0].cel.expression: Invalid value: \"device.nosuch == 1\": compilation failed: ERROR: <input>:1:7: undefined field 'nosuch'\n" +
			" | device.nosuch == 1\n | ......^",
		`device.driver`: `spec.selectors[0].cel.expression: Invalid value: "device.driver": must evaluate to bool or the unknown type, not string`,
		`device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, a + b + c + d != ""))))`: "spec.selectors[0].cel.expression: Forbidden: too complex, exceeds cost limit",
	} {
		class := &resourcev1.DeviceClass{Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: text}}}}}
		if want == "" {
			expect(t, validateClass(nil, class))
			expect(t, validateClassUpdate(nil, class, class))
		} else {
			expect(t, validateClass(nil, class), want)
		}
	}
}

func TestTemplatesHaveLabelsOnly(t *testing.T) {
	t.Parallel()
	template := &resourcev1.ResourceClaimTemplate{}
	template.Spec.Labels, template.Spec.Annotations = map[string]string{"a": "b"}, map[string]string{"a": "b"}
	expect(t, validateTemplate(nil, template))
	template.Spec.Name, template.Spec.UID, template.Spec.Finalizers = "n", "u", []string{"a/b"}
	expect(t, validateTemplate(nil, template),
		"spec.metadata.name: Forbidden: cannot be set", "spec.metadata.uID: Forbidden: cannot be set", "spec.metadata.finalizers: Forbidden: cannot be set")
}
