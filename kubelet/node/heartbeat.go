package node

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// A runtime does not tell when it becomes ready. While it is not, it is asked
// often: eagerly at first, when it is starting with the node.
const (
	eager    = 50 * time.Millisecond
	starting = 10 * time.Second
	unready  = time.Second
)

// heartbeat sends the node's status whenever it changed, and now and then anyway.
func (n *Node) heartbeat(ctx context.Context) {
	log := klog.FromContext(ctx)
	for {
		if err := n.report(ctx); err != nil && ctx.Err() == nil {
			log.V(1).Info("Could not send the node's status", "err", err)
			n.mu.Lock()
			n.reported = nil
			n.mu.Unlock()
		}
		if !n.wait(ctx) {
			return
		}
		n.look(ctx)
	}
}

// wait waits for the next look, and says whether there is to be one.
func (n *Node) wait(ctx context.Context) bool {
	delay := n.config.Check
	switch {
	case n.Ready():
	case time.Since(n.began) < starting:
		delay = eager
	default:
		delay = min(delay, unready)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-n.kick:
	}
	return true
}

// report sends the status if it is news, or the last report is long ago.
func (n *Node) report(ctx context.Context) error {
	current := n.Get()
	if current == nil {
		return nil // registered, but not seen yet: the watch kicks
	}
	s := n.status(&current.Status)
	n.mu.Lock()
	due := n.reported == nil || time.Since(n.reportedAt) >= n.config.Report || !same(n.reported, s)
	n.mu.Unlock()
	if !due {
		return nil
	}
	body, err := patchOf(&current.Status, s)
	if err != nil {
		return err
	}
	updated, err := n.config.Client.CoreV1().Nodes().Patch(ctx, n.config.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		// Someone deleted the node; it comes back, as it would with a new machine.
		n.register(ctx)
		return err
	}
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.reported, n.reportedAt = s, time.Now()
	if newer(updated, n.api) {
		n.api = updated
	}
	n.mu.Unlock()
	n.tell(&current.Status, s)
	return nil
}

// same compares statuses without the times of heartbeats.
func same(a, b *v1.NodeStatus) bool {
	x, y := a.DeepCopy(), b.DeepCopy()
	for _, s := range []*v1.NodeStatus{x, y} {
		for i := range s.Conditions {
			s.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	}
	return apiequality.Semantic.DeepEqual(x, y)
}

func newer(a, b *v1.Node) bool {
	return b == nil || len(a.ResourceVersion) > len(b.ResourceVersion) ||
		len(a.ResourceVersion) == len(b.ResourceVersion) && a.ResourceVersion > b.ResourceVersion
}

// patchOf is the strategic merge patch from one status to the other. Addresses are
// replaced as a whole: there may be two of one type.
func patchOf(from, to *v1.NodeStatus) ([]byte, error) {
	before, err := json.Marshal(v1.Node{Status: withoutAddresses(from)})
	if err != nil {
		return nil, fmt.Errorf("encode node status: %w", err)
	}
	after, err := json.Marshal(v1.Node{Status: withoutAddresses(to)})
	if err != nil {
		return nil, fmt.Errorf("encode node status: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, v1.Node{})
	if err != nil {
		return nil, fmt.Errorf("patch of node status: %w", err)
	}
	if apiequality.Semantic.DeepEqual(from.Addresses, to.Addresses) {
		return patch, nil
	}
	var body map[string]any
	if err := json.Unmarshal(patch, &body); err != nil {
		return nil, fmt.Errorf("patch of node status: %w", err)
	}
	var list []any
	for _, a := range to.Addresses {
		list = append(list, map[string]any{"type": a.Type, "address": a.Address})
	}
	list = append(list, map[string]any{"$patch": "replace"})
	status, ok := body["status"].(map[string]any)
	if !ok {
		status = map[string]any{}
		body["status"] = status
	}
	status["addresses"] = list
	return json.Marshal(body)
}

func withoutAddresses(s *v1.NodeStatus) v1.NodeStatus {
	c := *s
	c.Addresses = nil
	return c
}

// tell tells of conditions that changed, by events.
func (n *Node) tell(before, after *v1.NodeStatus) {
	if n.config.Recorder == nil {
		return
	}
	for _, c := range after.Conditions {
		old := condition(before, c.Type)
		if old != nil && old.Status == c.Status {
			continue
		}
		var reason string
		switch {
		case c.Type == v1.NodeReady && c.Status == v1.ConditionTrue:
			reason = "NodeReady"
		case c.Type == v1.NodeReady:
			reason = "NodeNotReady"
		case c.Type == v1.NodeMemoryPressure || c.Type == v1.NodeDiskPressure || c.Type == v1.NodePIDPressure:
			reason = c.Reason // NodeHasSufficientMemory, NodeHasDiskPressure, …
			if len(reason) > len("Kubelet") {
				reason = "Node" + reason[len("Kubelet"):]
			}
		default:
			continue
		}
		n.config.Recorder.Eventf(n.Reference(), v1.EventTypeNormal, reason, "Node %s status is now: %s", n.config.Name, reason)
	}
}

func condition(s *v1.NodeStatus, t v1.NodeConditionType) *v1.NodeCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

// renewLease keeps the node's Lease, by which others see that it lives.
func (n *Node) renewLease(ctx context.Context) {
	var lease *coordinationv1.Lease
	period := n.config.LeaseDuration / 4
	wait := time.Duration(0)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		next, err := n.renew(ctx, lease)
		lease = next
		if err == nil {
			// A little apart, so that a thousand nodes that start together do not stay so.
			wait = period + time.Duration(rand.Float64()*0.04*float64(period))
			continue
		}
		klog.FromContext(ctx).V(1).Info("Could not renew the node's lease", "err", err)
		wait = min(max(2*wait, 200*time.Millisecond), 7*time.Second)
	}
}

func (n *Node) renew(ctx context.Context, known *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, n.config.LeaseDuration/4)
	defer cancel()
	leases := n.config.Client.CoordinationV1().Leases(v1.NamespaceNodeLease)
	if known == nil {
		found, err := leases.Get(ctx, n.config.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return leases.Create(ctx, n.fill(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: n.config.Name, Namespace: v1.NamespaceNodeLease}}), metav1.CreateOptions{})
		case err != nil:
			return nil, err
		}
		known = found
	}
	updated, err := leases.Update(ctx, n.fill(known.DeepCopy()), metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return updated, nil
}

func (n *Node) fill(lease *coordinationv1.Lease) *coordinationv1.Lease {
	now := metav1.NowMicro()
	lease.Spec.HolderIdentity = ptr.To(n.config.Name)
	lease.Spec.LeaseDurationSeconds = ptr.To(int32(n.config.LeaseDuration / time.Second))
	lease.Spec.RenewTime = &now
	if node := n.Get(); node != nil && len(lease.OwnerReferences) == 0 {
		lease.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
	}
	return lease
}
