package replicaset

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
		if key, found := c.owner(pod); found {
			c.expected.Created(key)
			return []reconcile.Key{key}
		}
		return c.wouldAdopt(pod)
	}
	return c.podChanged(old, pod)
}

func (c *controller) podGone(pod *corev1.Pod) []reconcile.Key {
	key, found := c.owner(pod)
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
		if key, found := c.owner(old); found {
			keys = append(keys, key)
		}
	}
	if after != nil {
		if key, found := c.owner(pod); found {
			keys = append(keys, key)
		}
		return keys
	}
	if moved || !equality.Semantic.DeepEqual(old.Labels, pod.Labels) {
		keys = append(keys, c.wouldAdopt(pod)...)
	}
	return keys
}

// owner returns the key of the set that controls a Pod, if that is of our kind and the very object that the cache holds.
func (c *controller) owner(pod *corev1.Pod) (reconcile.Key, bool) {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil || ref.Kind != c.Kind.Kind || ref.APIVersion != c.Kind.GroupVersion().String() {
		return reconcile.Key{}, false
	}
	key := reconcile.Key{Namespace: pod.Namespace, Name: ref.Name}
	obj, found := index.Get[metav1.Object](c.Informer, key.Namespace, key.Name)
	return key, found && obj.GetUID() == ref.UID
}

// wouldAdopt returns the sets whose selector matches a Pod that nobody controls.
func (c *controller) wouldAdopt(pod *corev1.Pod) []reconcile.Key {
	if metav1.GetControllerOfNoCopy(pod) != nil || len(pod.Labels) == 0 {
		return nil
	}
	var keys []reconcile.Key
	for _, obj := range index.InNamespace[any](c.Informer, pod.Namespace) {
		if rs := c.Shape(obj); rs != nil && matches(rs, pod.Labels) {
			keys = append(keys, reconcile.Key{Namespace: rs.Namespace, Name: rs.Name})
		}
	}
	return keys
}

func matches(rs *appsv1.ReplicaSet, of map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	return err == nil && !selector.Empty() && selector.Matches(labels.Set(of))
}
