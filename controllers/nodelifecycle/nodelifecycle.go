// Package nodelifecycle watches over Nodes: it turns their conditions into taints, and those that have fallen silent into
// unknown ones, whose Pods are then not ready.
package nodelifecycle

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Config is how patient the controller is.
type Config struct {
	// Grace is how long a Node may be silent, StartupGrace the same for one that was never heard of.
	Grace, StartupGrace time.Duration
	Workers             int
}

type controller struct {
	Config
	client              *client.Set
	nodes, leases, pods cache.SharedIndexInformer
	events              record.EventRecorder
	// started is when this controller began to look: silence before that is not held against a Node.
	started time.Time
}

// New returns the controller.
func New(set *client.Set, events record.EventRecorder, config Config) (reconcile.Controller, error) {
	c := &controller{
		Config: config, client: set, events: events, started: time.Now(),
		nodes:  set.Informers.Core().V1().Nodes().Informer(),
		leases: set.Informers.Coordination().V1().Leases().Informer(),
		pods:   set.Informers.Core().V1().Pods().Informer(),
	}
	if err := index.Node(c.pods); err != nil {
		return reconcile.Controller{}, err
	}
	return reconcile.Controller{
		Name: "node-lifecycle-controller", Kind: "Node", Workers: config.Workers,
		Watches: []reconcile.Watch{
			{Informer: c.nodes, Keys: reconcile.Of(c.tell)},
			{Informer: c.leases, Keys: reconcile.Of(c.firstLease)},
		},
		Reconcile: c.reconcile,
	}, nil
}

// tell says of Nodes that they have come, all of them when this controller begins, and gone.
func (c *controller) tell(old, node *corev1.Node) []reconcile.Key {
	switch {
	case old == nil:
		c.events.Eventf(node, corev1.EventTypeNormal, "RegisteredNode", "Node %s event: Registered Node %s in Controller", node.Name, node.Name)
	case node == nil:
		c.events.Eventf(old, corev1.EventTypeNormal, "RemovingNode", "Node %s event: Removing Node %s from Controller", old.Name, old.Name)
	}
	return worthALook(old, node)
}

// worthALook passes over heartbeats, which the timer of each Node looks up by itself.
func worthALook(old, node *corev1.Node) []reconcile.Key {
	if node == nil {
		return nil
	}
	same := old != nil && old.Spec.Unschedulable == node.Spec.Unschedulable && equality.Semantic.DeepEqual(old.Spec.Taints, node.Spec.Taints) && sameConditions(old, node)
	if same {
		return nil
	}
	return []reconcile.Key{{Name: node.Name}}
}

func sameConditions(a, b *corev1.Node) bool {
	if len(a.Status.Conditions) != len(b.Status.Conditions) {
		return false
	}
	for i := range a.Status.Conditions {
		if a.Status.Conditions[i].Type != b.Status.Conditions[i].Type || a.Status.Conditions[i].Status != b.Status.Conditions[i].Status {
			return false
		}
	}
	return true
}

// firstLease wakes the controller when a Node whose conditions are unknown is heard of again.
func (c *controller) firstLease(old, lease *coordinationv1.Lease) []reconcile.Key {
	if lease == nil || lease.Namespace != corev1.NamespaceNodeLease {
		return nil
	}
	node, found := index.Get[*corev1.Node](c.nodes, "", lease.Name)
	if !found || condition(node, corev1.NodeReady).Status != corev1.ConditionUnknown {
		return nil
	}
	return []reconcile.Key{{Name: node.Name}}
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	node, found := index.Get[*corev1.Node](c.nodes, "", key.Name)
	if !found || node.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	now := time.Now()
	silent := c.silentSince(node)
	left := c.patience(node) - now.Sub(silent)
	if left <= 0 {
		if changed := Unknown(node, now); changed != nil {
			c.events.Eventf(node, corev1.EventTypeNormal, "NodeNotReady", "Node %s status is now: NodeNotReady", node.Name)
			updated, err := c.client.CoreV1().Nodes().UpdateStatus(ctx, changed, metav1.UpdateOptions{})
			if err != nil {
				return reconcile.Result{}, err
			}
			reconcile.Note(ctx, journal.Record{
				Step: "unknown", Kind: "Node", Name: node.Name, UID: node.UID, Made: updated.ResourceVersion, Note: "silent for " + now.Sub(silent).Round(time.Second).String(),
			})
			node = updated
		}
		left = c.patience(node)
	}
	if err := c.taint(ctx, node, now); err != nil {
		return reconcile.Result{}, err
	}
	if condition(node, corev1.NodeReady).Status != corev1.ConditionTrue {
		if err := c.unready(ctx, node); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{After: left + 10*time.Millisecond}, nil
}

func (c *controller) patience(node *corev1.Node) time.Duration {
	if condition(node, corev1.NodeReady).Type == "" {
		return c.StartupGrace
	}
	return c.Grace
}

// silentSince is the last sign of life: a renewed Lease or a written status.
func (c *controller) silentSince(node *corev1.Node) time.Time {
	last := node.CreationTimestamp.Time
	if ready := condition(node, corev1.NodeReady); ready.LastHeartbeatTime.After(last) && ready.Status != corev1.ConditionUnknown {
		last = ready.LastHeartbeatTime.Time
	}
	if lease, found := index.Get[*coordinationv1.Lease](c.leases, corev1.NamespaceNodeLease, node.Name); found && lease.Spec.RenewTime != nil && lease.Spec.RenewTime.After(last) {
		last = lease.Spec.RenewTime.Time
	}
	if c.started.After(last) {
		last = c.started
	}
	return last
}

func condition(node *corev1.Node, kind corev1.NodeConditionType) corev1.NodeCondition {
	for _, c := range node.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.NodeCondition{}
}

// taint makes the Node's taints those that its conditions ask for.
func (c *controller) taint(ctx context.Context, node *corev1.Node, now time.Time) error {
	taints := Taints(node, now)
	if equality.Semantic.DeepEqual(taints, node.Spec.Taints) || len(taints) == 0 && len(node.Spec.Taints) == 0 {
		return nil
	}
	changed := node.DeepCopy()
	changed.Spec.Taints = taints
	updated, err := c.client.CoreV1().Nodes().Update(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	reconcile.Note(ctx, journal.Record{Step: "taint", Kind: "Node", Name: node.Name, UID: node.UID, Made: updated.ResourceVersion, Note: describe(taints)})
	return nil
}

func describe(taints []corev1.Taint) string {
	text := ""
	for i := range taints {
		text += " " + taints[i].ToString()
	}
	return "taints:" + text
}

// unready marks the Pods of a Node that is not ready, so that Services send them nothing.
func (c *controller) unready(ctx context.Context, node *corev1.Node) error {
	for _, pod := range index.OnNode(c.pods, node.Name) {
		changed := notReady(pod)
		if changed == nil {
			continue
		}
		_, err := c.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		c.events.Event(pod, corev1.EventTypeWarning, "NodeNotReady", "Node is not ready")
	}
	return nil
}

func notReady(pod *corev1.Pod) *corev1.Pod {
	for i := range pod.Status.Conditions {
		if ready := &pod.Status.Conditions[i]; ready.Type == corev1.PodReady && ready.Status == corev1.ConditionTrue {
			changed := pod.DeepCopy()
			changed.Status.Conditions[i].Status = corev1.ConditionFalse
			changed.Status.Conditions[i].LastTransitionTime = metav1.Now()
			return changed
		}
	}
	return nil
}
