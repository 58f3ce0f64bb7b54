package dynamicresources

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/scheduler/plugin"
)

// reservation is the claims as they are to be: allocated, and reserved for the pod.
type reservation struct {
	claims  []*resourcev1.ResourceClaim
	written atomic.Bool
}

// bind narrows a selector down to the nodes from which the device can be used.
func bind(selector *corev1.NodeSelector, d *device, node string) *corev1.NodeSelector {
	name, from, all := d.slice.Spec.NodeName, d.slice.Spec.NodeSelector, d.slice.Spec.AllNodes
	if d.slice.Spec.PerDeviceNodeSelection != nil && *d.slice.Spec.PerDeviceNodeSelection {
		name, from, all = d.spec.NodeName, d.spec.NodeSelector, d.spec.AllNodes
	}
	var term corev1.NodeSelectorTerm
	switch {
	case name != nil && *name != "" || d.spec.BindsToNode != nil && *d.spec.BindsToNode:
		term.MatchFields = []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}
	case from != nil && len(from.NodeSelectorTerms) > 0:
		term = from.NodeSelectorTerms[0]
	case all != nil && *all:
		return selector
	}
	if selector == nil {
		return &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{*term.DeepCopy()}}
	}
	have := &selector.NodeSelectorTerms[0]
	have.MatchExpressions = joined(have.MatchExpressions, term.MatchExpressions)
	have.MatchFields = joined(have.MatchFields, term.MatchFields)
	return selector
}

func joined(have, more []corev1.NodeSelectorRequirement) []corev1.NodeSelectorRequirement {
	for _, r := range more {
		if !slices.ContainsFunc(have, func(o corev1.NodeSelectorRequirement) bool {
			return o.Key == r.Key && o.Operator == r.Operator && slices.Equal(o.Values, r.Values)
		}) {
			have = append(have, r)
		}
	}
	return have
}

// Reserve implements plugin.Reserve: the devices count as taken from now on.
func (p *Plugin) Reserve(c *plugin.Cycle, row int32) *plugin.Status {
	n, ok := c.Get(Name).(*plan)
	if !ok {
		return nil
	}
	found := n.found[row]
	if found == nil && len(n.open) > 0 {
		return plugin.Failed(fmt.Errorf("no allocation was found for the node"))
	}
	r := &reservation{}
	now := metav1.Now()
	pod := c.Pod.Object
	for _, claim := range n.claims {
		own := claim.DeepCopy()
		if i := slices.Index(n.open, claim); i >= 0 {
			own.Status.Allocation = found.results[i]
			own.Status.Allocation.AllocationTimestamp = &now
			if !slices.Contains(own.Finalizers, resourcev1.Finalizer) {
				own.Finalizers = append(own.Finalizers, resourcev1.Finalizer)
			}
		}
		if !reservedFor(own, pod) {
			own.Status.ReservedFor = append(own.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: pod.Name, UID: pod.UID})
		}
		r.claims = append(r.claims, own)
		c.Snapshot.Devices.Assumed[own.Namespace+"/"+own.Name] = own
	}
	n.chosen = r
	return nil
}

// Unreserve implements plugin.Reserve.
func (p *Plugin) Unreserve(c *plugin.Cycle, _ int32) {
	n, ok := c.Get(Name).(*plan)
	if !ok || n.chosen == nil {
		return
	}
	for _, claim := range n.chosen.claims {
		key := claim.Namespace + "/" + claim.Name
		if c.Snapshot.Devices.Assumed[key] == claim {
			delete(c.Snapshot.Devices.Assumed, key)
		}
	}
	if n.chosen.written.Load() {
		pod := c.Pod.Object
		for _, claim := range n.chosen.claims {
			go p.release(context.Background(), claim, pod)
		}
	}
	n.chosen = nil
}

// WillPreBind implements plugin.PreFlight.
func (*Plugin) WillPreBind(c *plugin.Cycle) bool {
	n, ok := c.Get(Name).(*plan)
	return ok && n.chosen != nil
}

// PreBind implements plugin.PreBind: it writes the allocations and reservations, and waits for devices that must be made ready.
func (p *Plugin) PreBind(ctx context.Context, c *plugin.Cycle, node string) *plugin.Status {
	n, ok := c.Get(Name).(*plan)
	if !ok || n.chosen == nil {
		return nil
	}
	n.chosen.written.Store(true)
	for _, claim := range n.chosen.claims {
		if err := p.write(ctx, claim, c.Pod.Object); err != nil {
			return plugin.Failed(fmt.Errorf("reserving claim %s: %w", claim.Name, err))
		}
	}
	if err := p.await(ctx, c.Pod.Object, node, n.chosen.claims); err != nil {
		return plugin.Failed(err)
	}
	return nil
}

// write brings one claim to what was decided. Somebody else's allocation is never overwritten.
func (p *Plugin) write(ctx context.Context, want *resourcev1.ResourceClaim, pod *corev1.Pod) error {
	client := p.env.Client.ResourceV1().ResourceClaims(want.Namespace)
	current := want
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		var err error
		if current == nil {
			if current, err = client.Get(ctx, want.Name, metav1.GetOptions{}); err != nil {
				return err
			}
		}
		read := current
		current = nil // read it anew after a conflict
		if read.UID != want.UID {
			return fmt.Errorf("it is another claim now")
		}
		if read != want && read.Status.Allocation != nil && !sameDevices(read.Status.Allocation, want.Status.Allocation) {
			return fmt.Errorf("it was allocated by somebody else meanwhile")
		}
		own := read.DeepCopy()
		if !slices.Contains(own.Finalizers, resourcev1.Finalizer) || read == want {
			own.Finalizers = want.Finalizers
			if own, err = client.Update(ctx, own, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		own.Status.Allocation = want.Status.Allocation
		if !reservedFor(own, pod) {
			own.Status.ReservedFor = append(own.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: pod.Name, UID: pod.UID})
		}
		_, err = client.UpdateStatus(ctx, own, metav1.UpdateOptions{})
		return err
	})
}

func sameDevices(a, b *resourcev1.AllocationResult) bool {
	return slices.EqualFunc(a.Devices.Results, b.Devices.Results, func(x, y resourcev1.DeviceRequestAllocationResult) bool {
		return x.Driver == y.Driver && x.Pool == y.Pool && x.Device == y.Device && x.Request == y.Request
	})
}

// release takes a pod's reservation of a claim back.
func (p *Plugin) release(ctx context.Context, claim *resourcev1.ResourceClaim, pod *corev1.Pod) {
	client := p.env.Client.ResourceV1().ResourceClaims(claim.Namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		current, err := client.Get(ctx, claim.Name, metav1.GetOptions{})
		if err != nil || !reservedFor(current, pod) {
			return err
		}
		own := current.DeepCopy()
		own.Status.ReservedFor = slices.DeleteFunc(own.Status.ReservedFor, func(r resourcev1.ResourceClaimConsumerReference) bool { return r.UID == pod.UID })
		_, err = client.UpdateStatus(ctx, own, metav1.UpdateOptions{})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		klog.FromContext(ctx).Error(err, "Could not take a reservation back", "claim", klog.KObj(claim), "pod", klog.KObj(pod))
	}
}

// giveBack clears an allocation that nobody uses.
func (p *Plugin) giveBack(ctx context.Context, claim *resourcev1.ResourceClaim) {
	_, err := p.env.Client.ResourceV1().ResourceClaims(claim.Namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		klog.FromContext(ctx).Error(err, "Could not give an allocation back", "claim", klog.KObj(claim))
	}
}
