package dynamicresources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
)

// Some devices must be made ready before a pod can be bound, such as those that are attached through a fabric. Their drivers say so by
// conditions of the claim's devices (KEP-5007).
var (
	errTimeout = errors.New("device binding timeout")
	errFailure = errors.New("device binding failed")
)

// ready says whether all devices of an allocated claim are ready; an error says that one will not be.
func ready(claim *resourcev1.ResourceClaim) (bool, error) {
	all := true
	for i := range claim.Status.Allocation.Devices.Results {
		r := &claim.Status.Allocation.Devices.Results[i]
		if len(r.BindingConditions) == 0 {
			continue
		}
		status := statusOf(claim, r)
		if status == nil {
			all = false
			continue
		}
		for _, name := range r.BindingFailureConditions {
			if c := apimeta.FindStatusCondition(status.Conditions, name); c != nil && c.Status == "True" {
				return false, fmt.Errorf("%w: claim=%s, reason=%s, message=%q", errFailure, claim.Name, c.Reason, c.Message)
			}
		}
		all = all && !slices.ContainsFunc(r.BindingConditions, func(name string) bool { return !apimeta.IsStatusConditionTrue(status.Conditions, name) })
	}
	return all, nil
}

func statusOf(claim *resourcev1.ResourceClaim, r *resourcev1.DeviceRequestAllocationResult) *resourcev1.AllocatedDeviceStatus {
	for i := range claim.Status.Devices {
		s := &claim.Status.Devices[i]
		if s.Driver == r.Driver && s.Pool == r.Pool && s.Device == r.Device && (r.ShareID == nil && s.ShareID == nil || r.ShareID != nil && s.ShareID != nil && string(*r.ShareID) == *s.ShareID) {
			return s
		}
	}
	return nil
}

// conditional says whether some device of the claim must be made ready.
func conditional(claim *resourcev1.ResourceClaim) bool {
	a := claim.Status.Allocation
	return a != nil && slices.ContainsFunc(a.Devices.Results, func(r resourcev1.DeviceRequestAllocationResult) bool { return len(r.BindingConditions) > 0 })
}

// overdue says whether the claim's devices have had their time to become ready.
func (p *Plugin) overdue(claim *resourcev1.ResourceClaim) bool {
	return conditional(claim) && claim.Status.Allocation.AllocationTimestamp != nil && time.Since(claim.Status.Allocation.AllocationTimestamp.Time) > p.bindingTimeout
}

// await waits until the devices of all claims are ready. After an error the pod is tried again, and Filter finds out that the claim is of no use.
func (p *Plugin) await(ctx context.Context, pod *corev1.Pod, node string, claims []*resourcev1.ResourceClaim) error {
	if p.changes == nil || !slices.ContainsFunc(claims, conditional) {
		return nil
	}
	p.env.Record(pod, corev1.EventTypeNormal, "BindingConditionsPending", "Scheduling", "waiting for binding conditions for device on node "+node)
	ctx, cancel := context.WithTimeout(ctx, p.bindingTimeout)
	defer cancel()
	for _, claim := range claims {
		if !conditional(claim) {
			continue
		}
		if err := p.awaitOne(ctx, pod, claim); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plugin) awaitOne(ctx context.Context, pod *corev1.Pod, want *resourcev1.ResourceClaim) error {
	lister := p.env.Informers.Resource().V1().ResourceClaims().Lister().ResourceClaims(want.Namespace)
	for {
		next := p.changes.Next(want.Namespace + "/" + want.Name)
		claim, err := lister.Get(want.Name)
		switch {
		case err != nil:
			return err
		case claim.UID != want.UID:
			return fmt.Errorf("claim %s is another one now", want.Name)
		case claim.Status.Allocation != nil && reservedFor(claim, pod): // else what was written has yet to be seen
			if ok, err := ready(claim); ok || err != nil {
				return err
			}
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("%w: claim=%s: %w", errTimeout, want.Name, ctx.Err())
		}
	}
}
