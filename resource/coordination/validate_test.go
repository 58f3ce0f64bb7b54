package coordination

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
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

func TestLeases(t *testing.T) {
	t.Parallel()
	released := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To("")}}
	expect(t, validateLease(nil, released))
	lease := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{
		LeaseDurationSeconds: ptr.To[int32](0), LeaseTransitions: ptr.To[int32](-1), PreferredHolder: ptr.To("b"),
	}}
	expect(t, validateLeaseUpdate(nil, lease, lease),
		"spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
		"spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
		"spec.preferredHolder: Forbidden: may only be specified when `strategy` is defined")
	expect(t, validateLease(nil, &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{Strategy: ptr.To(coordinationv1.CoordinatedLeaseStrategy("Mine"))}}),
		`spec.strategy: Unsupported value: "Mine": supported values: "OldestEmulationVersion"`)
}

// The fields of coordinated elections are dropped as long as nothing reads them, but stay where they are stored.
func TestElectionFieldsAreDropped(t *testing.T) {
	t.Parallel()
	lease := func() *coordinationv1.Lease {
		return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{PreferredHolder: ptr.To("b"), Strategy: ptr.To(coordinationv1.OldestEmulationVersion)}}
	}
	kind, created, kept := Leases(), lease(), lease()
	kind.PrepareCreate(nil, created)
	if diff := cmp.Diff(&coordinationv1.Lease{}, created); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	kind.PrepareUpdate(nil, kept, lease())
	if diff := cmp.Diff(lease(), kept); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}
}
