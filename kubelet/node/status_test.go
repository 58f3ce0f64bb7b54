package node

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
)

// A node that is new tells how it is.
func TestANewNodeTellsHowItIs(t *testing.T) {
	t.Parallel()
	events := record.NewFakeRecorder(10)
	n := New(Config{
		Client: fake.NewClientset(), Recorder: events, Name: "n", Register: true, Machine: &Machine{CPUs: 2, Memory: 1 << 30}, MaxPods: 110,
		Pressure: func() []v1.NodeCondition {
			return []v1.NodeCondition{{Type: v1.NodeMemoryPressure, Status: v1.ConditionFalse, Reason: "KubeletHasSufficientMemory"}}
		},
	})
	if _, err := n.tryRegister(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := <-events.Events, "Normal NodeHasSufficientMemory Node n status is now: NodeHasSufficientMemory"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Resources that somebody advertises in a node's status, as documented for extended resources, stay and may be used. What
// the machine and its device plugins have is said by them alone.
// conformance: Scheduler, Basic Preemption
func TestAdvertisedResourcesStay(t *testing.T) {
	t.Parallel()
	plugins := func() (capacity, allocatable v1.ResourceList) {
		gone := v1.ResourceList{"vendor.example/gpu": resource.MustParse("0")}
		return gone, gone
	}
	n := New(Config{Machine: &Machine{CPUs: 2, Memory: 1 << 30}, MaxPods: 110, Extended: plugins})
	current := &v1.NodeStatus{Capacity: v1.ResourceList{
		"example.com/dongle": resource.MustParse("5"), "vendor.example/gpu": resource.MustParse("4"), v1.ResourceCPU: resource.MustParse("64"),
	}}
	status := n.status(current)
	for list, got := range map[string]v1.ResourceList{"capacity": status.Capacity, "allocatable": status.Allocatable} {
		for name, want := range map[v1.ResourceName]int64{"example.com/dongle": 5, "vendor.example/gpu": 0, v1.ResourceCPU: 2} {
			if q, said := got[name]; !said || q.Value() != want {
				t.Errorf("%s of %s: %s, want %d", list, name, q.String(), want)
			}
		}
	}
	n.api = &v1.Node{Status: *current}
	if dongles := n.Allocatable()["example.com/dongle"]; dongles.Value() != 5 {
		t.Errorf("Pods may use %s dongles, want 5", dongles.String())
	}
}
