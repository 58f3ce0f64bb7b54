package daemonset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/reconcile"
)

// podEvent notes what expectations waited for and returns the keys that a Pod's change concerns.
func (c *controller) podEvent(old, pod metav1.Object) []reconcile.Key {
	if old != nil && (pod == nil || pod.GetDeletionTimestamp() != nil) {
		if key, found := c.owners.Key(old); found {
			c.expected.Deleted(key, string(old.GetUID()))
		}
	}
	if pod != nil {
		if key, found := c.owners.Key(pod); found {
			switch {
			case pod.GetDeletionTimestamp() != nil:
				c.expected.Deleted(key, string(pod.GetUID()))
			case old == nil:
				c.expected.Created(key)
			}
		}
	}
	return c.owners.Concerned(old, pod)
}

// nodeEvent returns the sets that treat a node otherwise than before. Heartbeats change nothing for anybody.
func (c *controller) nodeEvent(old, node *corev1.Node) []reconcile.Key {
	if old != nil && node != nil && equality.Semantic.DeepEqual(old.Labels, node.Labels) &&
		equality.Semantic.DeepEqual(old.Spec.Taints, node.Spec.Taints) {
		return nil
	}
	var keys []reconcile.Key
	for _, set := range index.All[*appsv1.DaemonSet](c.sets) {
		tolerated := tolerationsOf(&set.Spec.Template.Spec)
		var before, after [2]bool
		if old != nil {
			before[0], before[1] = wants(set, tolerated, old)
		}
		if node != nil {
			after[0], after[1] = wants(set, tolerated, node)
		}
		if before != after {
			keys = append(keys, reconcile.Key{Namespace: set.Namespace, Name: set.Name})
		}
	}
	return keys
}
