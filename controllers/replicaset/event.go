package replicaset

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/reconcile"
)

// podEvent notes what expectations waited for and returns the keys that a Pod's change concerns.
func (c *controller) podEvent(old, pod *corev1.Pod) []reconcile.Key {
	switch {
	case pod == nil:
		return c.podGone(old)
	case pod.DeletionTimestamp != nil:
		// A Pod that is going counts as gone at once: its replacement need not wait for it.
		keys := c.podGone(pod)
		if old != nil && !equality.Semantic.DeepEqual(old.Labels, pod.Labels) {
			keys = append(keys, c.podGone(old)...)
		}
		return keys
	case old == nil:
		if key, found := c.owners.Key(pod); found {
			c.expected.Created(key)
			return []reconcile.Key{key}
		}
		return c.owners.Adopting(pod)
	}
	return c.podChanged(old, pod)
}

func (c *controller) podGone(pod *corev1.Pod) []reconcile.Key {
	key, found := c.owners.Key(pod)
	if !found {
		return nil
	}
	c.expected.Deleted(key, string(pod.UID))
	return []reconcile.Key{key}
}

func (c *controller) podChanged(old, pod *corev1.Pod) []reconcile.Key {
	var keys []reconcile.Key
	before, after := metav1.GetControllerOfNoCopy(old), metav1.GetControllerOfNoCopy(pod)
	moved := !equality.Semantic.DeepEqual(before, after)
	if moved {
		if key, found := c.owners.Key(old); found {
			keys = append(keys, key)
		}
	}
	if after != nil {
		if key, found := c.owners.Key(pod); found {
			keys = append(keys, key)
		}
		return keys
	}
	if moved || !equality.Semantic.DeepEqual(old.Labels, pod.Labels) {
		keys = append(keys, c.owners.Adopting(pod)...)
	}
	return keys
}
