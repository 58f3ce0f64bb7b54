package daemonset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/reconcile"
)

// podEvent notes what expectations waited for and returns the keys that a Pod's change concerns.
func (c *controller) podEvent(old, pod *corev1.Pod) []reconcile.Key {
	var keys []reconcile.Key
	if old != nil {
		if key, found := c.owner(old); found {
			keys = append(keys, key)
			if pod == nil || pod.DeletionTimestamp != nil {
				c.expected.Deleted(key, string(old.UID))
			}
		}
	}
	if pod == nil {
		return keys
	}
	if key, found := c.owner(pod); found {
		switch {
		case pod.DeletionTimestamp != nil:
			c.expected.Deleted(key, string(pod.UID))
		case old == nil:
			c.expected.Created(key)
		}
		if len(keys) == 0 || keys[0] != key {
			keys = append(keys, key)
		}
		return keys
	}
	if metav1.GetControllerOfNoCopy(pod) != nil {
		return keys
	}
	for _, set := range index.InNamespace[*appsv1.DaemonSet](c.sets, pod.Namespace) {
		selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(pod.Labels)) {
			keys = append(keys, reconcile.Key{Namespace: set.Namespace, Name: set.Name})
		}
	}
	return keys
}

// owner returns the key of the set that controls a Pod, if the cache holds that very one.
func (c *controller) owner(pod *corev1.Pod) (reconcile.Key, bool) {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil || ref.Kind != Kind.Kind {
		return reconcile.Key{}, false
	}
	set, found := index.Get[*appsv1.DaemonSet](c.sets, pod.Namespace, ref.Name)
	return reconcile.Key{Namespace: pod.Namespace, Name: ref.Name}, found && set.UID == ref.UID
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
