package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/api"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// recheck is how often the provider is asked about a Node that stays unhealthy.
const recheck = 5 * time.Second

// Lifecycle returns the controller that asks the provider about Nodes that are not ready: it removes those whose machine is
// gone and taints those whose machine is shut down.
func Lifecycle(set *client.Set, instances cloudprovider.InstancesV2, events record.EventRecorder) reconcile.Controller {
	nodes := set.Informers.Core().V1().Nodes()
	c := &lifecycle{set: set, instances: instances, events: events}
	return reconcile.Controller{
		Name: "cloud-node-lifecycle-controller", Workers: 1,
		Watches: []reconcile.Watch{{Informer: nodes.Informer(), Keys: reconcile.Of(readinessChanged)}},
		Reconcile: func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
			node, err := nodes.Lister().Get(key.Name)
			if apierrors.IsNotFound(err) {
				return reconcile.Result{}, nil
			}
			if err != nil {
				return reconcile.Result{}, err
			}
			return c.reconcile(ctx, node)
		},
	}
}

func ready(node *corev1.Node) corev1.ConditionStatus {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status
		}
	}
	return corev1.ConditionUnknown
}

func readinessChanged(old, node *corev1.Node) []reconcile.Key {
	if node == nil || old != nil && ready(old) == ready(node) {
		return nil
	}
	return []reconcile.Key{{Name: node.Name}}
}

type lifecycle struct {
	set       *client.Set
	instances cloudprovider.InstancesV2
	events    record.EventRecorder
}

func (c *lifecycle) reconcile(ctx context.Context, node *corev1.Node) (reconcile.Result, error) {
	if ready(node) == corev1.ConditionTrue {
		return reconcile.Result{}, c.taint(ctx, node, false)
	}
	exists, err := c.instances.InstanceExists(ctx, node)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("ask the provider whether node %s exists: %w", node.Name, err)
	}
	if !exists {
		c.events.Eventf(node, corev1.EventTypeNormal, "DeletingNode", "Deleting node %s because it does not exist in the cloud provider", node.Name)
		err := c.set.CoreV1().Nodes().Delete(ctx, node.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &node.UID}})
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return reconcile.Result{}, err
	}
	down, err := c.instances.InstanceShutdown(ctx, node)
	if err != nil && !errors.Is(err, cloudprovider.NotImplemented) {
		return reconcile.Result{}, fmt.Errorf("ask the provider whether node %s is shut down: %w", node.Name, err)
	}
	return reconcile.Result{After: recheck}, c.taint(ctx, node, down)
}

// taint keeps Pods away from a machine that is shut down, and lets them come back.
func (c *lifecycle) taint(ctx context.Context, node *corev1.Node, down bool) error {
	has := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == api.TaintNodeShutdown })
	if has == down {
		return nil
	}
	changed := node.DeepCopy()
	if down {
		changed.Spec.Taints = append(changed.Spec.Taints, corev1.Taint{Key: api.TaintNodeShutdown, Effect: corev1.TaintEffectNoSchedule})
	} else {
		changed.Spec.Taints = slices.DeleteFunc(changed.Spec.Taints, func(t corev1.Taint) bool { return t.Key == api.TaintNodeShutdown })
	}
	_, err := c.set.CoreV1().Nodes().Update(ctx, changed, metav1.UpdateOptions{})
	return err
}

func initialized(node *corev1.Node, known *cloudprovider.InstanceMetadata) journal.Record {
	return journal.Record{
		Step: "initialize", Kind: "Node", Name: node.Name, UID: node.UID,
		Note: fmt.Sprintf("%s, zone %s, region %s", known.ProviderID, known.Zone, known.Region),
	}
}
