package job

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/septet-io/septet/reconcile"
)

// jobEvent returns a Job that came, changed or went.
func (c *controller) jobEvent(old, job *batchv1.Job) []reconcile.Key {
	if job == nil {
		c.forget(old.UID)
		job = old
	}
	return []reconcile.Key{{Namespace: job.Namespace, Name: job.Name}}
}

// podEvent notes what was waited for and returns the Jobs that a Pod's change concerns.
func (c *controller) podEvent(old, pod *corev1.Pod) []reconcile.Key {
	c.metrics.follow(old, pod)
	var keys []reconcile.Key
	if old != nil {
		if job, found := c.owners.Of(old); found {
			key := reconcile.Key{Namespace: job.Namespace, Name: job.Name}
			keys = append(keys, key)
			if pod == nil || pod.DeletionTimestamp != nil {
				c.expected.Deleted(key, string(old.UID))
			}
			if hasFinalizer(old) && (pod == nil || !hasFinalizer(pod)) {
				c.seen(job.UID, old.UID)
			}
		}
	}
	if pod == nil {
		return keys
	}
	if key, found := c.owners.Key(pod); found {
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
	if old == nil || !equality.Semantic.DeepEqual(old.Labels, pod.Labels) || len(old.OwnerReferences) > 0 {
		keys = append(keys, c.owners.Adopting(pod)...)
	}
	return keys
}
