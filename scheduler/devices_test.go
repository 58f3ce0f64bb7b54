package scheduler

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// gpus is a pool of one node: devices with a memory size and a model each.
func gpus(node string, sizes ...string) *resourcev1.ResourceSlice {
	s := &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: node + "-gpus"}}
	s.Spec = resourcev1.ResourceSliceSpec{Driver: "gpu.example.com", NodeName: ptr.To(node), Pool: resourcev1.ResourcePool{Name: node, Generation: 1, ResourceSliceCount: 1}}
	for i, size := range sizes {
		s.Spec.Devices = append(s.Spec.Devices, resourcev1.Device{Name: fmt.Sprintf("gpu-%d", i),
			Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"model": {StringValue: ptr.To("m" + size)}, "numa": {IntValue: ptr.To(int64(i % 2))}},
			Capacity:   map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{"memory": {Value: resource.MustParse(size)}}})
	}
	return s
}

func gpuClass() *resourcev1.DeviceClass {
	return &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}, Spec: resourcev1.DeviceClassSpec{
		Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "gpu.example.com"`}}}}}
}

func deviceClaim(name string, requests ...resourcev1.DeviceRequest) *resourcev1.ResourceClaim {
	return &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: requests}}}
}

func exactly(name string, count int64, expressions ...string) resourcev1.DeviceRequest {
	e := &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: count}
	for _, x := range expressions {
		e.Selectors = append(e.Selectors, resourcev1.DeviceSelector{CEL: &resourcev1.CELDeviceSelector{Expression: x}})
	}
	return resourcev1.DeviceRequest{Name: name, Exactly: e}
}

func withDevices(claim string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, corev1.PodResourceClaim{Name: "d", ResourceClaimName: ptr.To(claim)})
	}
}

func (c *cluster) allocated(name string) *resourcev1.ResourceClaim {
	c.t.Helper()
	claim, err := c.ResourceV1().ResourceClaims("default").Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	if claim.Status.Allocation == nil {
		c.t.Fatalf("claim %s is not allocated", name)
	}
	return claim
}

// Devices are found by class, expression, count and constraint; claims are allocated and reserved before their pods are bound; what is
// taken is not given twice, and the reason is said.
func TestDevices(t *testing.T) {
	t.Parallel()
	big := exactly("big", 1, `device.capacity["gpu.example.com"].memory.compareTo(quantity("40Gi")) >= 0`)
	pair := deviceClaim("pair", exactly("two", 2))
	pair.Spec.Devices.Constraints = []resourcev1.DeviceConstraint{{MatchAttribute: ptr.To[resourcev1.FullyQualifiedName]("gpu.example.com/numa")}}
	either := deviceClaim("either", resourcev1.DeviceRequest{Name: "any", FirstAvailable: []resourcev1.DeviceSubRequest{
		{Name: "best", DeviceClassName: "gpu", Count: 1, Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: `device.attributes["gpu.example.com"].model == "m999Gi"`}}}},
		{Name: "good", DeviceClassName: "gpu", Count: 1},
	}})
	c := fakeAPI(t, node("plain", "64", "64Gi"), node("one", "4", "8Gi"), node("four", "4", "8Gi"), gpuClass(),
		gpus("one", "40Gi"), gpus("four", "20Gi", "20Gi", "20Gi", "20Gi"),
		deviceClaim("big", big), deviceClaim("bigger", big), pair, either,
		deviceClaim("wrong", resourcev1.DeviceRequest{Name: "x", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "none"}}))
	c.start()
	c.add(pod("first", "1", "", withDevices("big")))
	if got := c.nodeOf("first"); got != "one" {
		t.Errorf("first is on %s", got)
	}
	claim := c.allocated("big")
	if r := claim.Status.Allocation.Devices.Results; len(r) != 1 || r[0].Device != "gpu-0" || r[0].Pool != "one" || r[0].Request != "big" {
		t.Errorf("results %+v", r)
	}
	if len(claim.Status.ReservedFor) != 1 || claim.Status.ReservedFor[0].UID != "uid-first" || len(claim.Finalizers) != 1 {
		t.Errorf("claim %+v", claim)
	}
	c.add(pod("second", "1", "", withDevices("bigger")))
	if got, want := c.refusal("second"), "0/3 nodes are available: 3 cannot allocate all claims."; !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
	c.add(pod("third", "1", "", withDevices("pair")))
	if got := c.nodeOf("third"); got != "four" {
		t.Errorf("third is on %s", got)
	}
	if r := c.allocated("pair").Status.Allocation.Devices.Results; len(r) != 2 || r[0].Device != "gpu-0" || r[1].Device != "gpu-2" {
		t.Errorf("results %+v", r)
	}
	c.add(pod("fourth", "1", "", withDevices("either")))
	c.nodeOf("fourth")
	if r := c.allocated("either").Status.Allocation.Devices.Results; len(r) != 1 || r[0].Request != "any/good" {
		t.Errorf("results %+v", r)
	}
	c.add(pod("fifth", "1", "", withDevices("wrong")))
	if got, want := c.refusal("fifth"), "0/3 nodes are available: request x: device class none does not exist."; !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
}

// A device that its driver must make ready first keeps its pod from being bound; the pod shows where it is expected. When the driver fails, the
// claim is given back and allocated anew.
func TestDevicesMustBeReady(t *testing.T) {
	t.Parallel()
	slice := gpus("a", "16Gi")
	d := &slice.Spec.Devices[0]
	d.BindingConditions, d.BindingFailureConditions = []string{"example.com/attached"}, []string{"example.com/broken"}
	c := fakeAPI(t, node("a", "4", "8Gi"), slice, gpuClass(), deviceClaim("one", exactly("r", 1)))
	c.start()
	c.add(pod("p", "1", "", withDevices("one")))
	if got, want := c.event("p", "BindingConditionsPending"), "waiting for binding conditions for device on node a"; got != want {
		t.Errorf("note %q, want %q", got, want)
	}
	c.until("the pod shows its node", func() bool { return c.pod("p").Status.NominatedNodeName == "a" })
	say := func(condition string) {
		t.Helper()
		claim := c.allocated("one").DeepCopy()
		r := claim.Status.Allocation.Devices.Results[0]
		claim.Status.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: r.Driver, Pool: r.Pool, Device: r.Device,
			Conditions: []metav1.Condition{{Type: condition, Status: metav1.ConditionTrue, Reason: "Tested"}}}}
		if _, err := c.ResourceV1().ResourceClaims("default").UpdateStatus(context.Background(), claim, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	say("example.com/broken")
	if got, want := c.refusal("p"), "device binding failed: claim=one, reason=Tested"; !strings.Contains(got, want) {
		t.Errorf("message %q", got)
	}
	c.until("another allocation", func() bool {
		claim, err := c.ResourceV1().ResourceClaims("default").Get(context.Background(), "one", metav1.GetOptions{})
		return err == nil && claim.Status.Allocation != nil && len(claim.Status.ReservedFor) == 1 && claim.Status.Devices == nil
	})
	say("example.com/attached")
	if got := c.nodeOf("p"); got != "a" {
		t.Errorf("p is on %s", got)
	}
}
