package job

import (
	"context"
	"encoding/json"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// A Pod whose Job is gone, or that no longer belongs to it, is counted by nobody: its finalizer would keep it for ever.

// jobGone returns the Pods that a deleted Job leaves behind.
func (c *controller) jobGone(old, job *batchv1.Job) []reconcile.Key {
	if job != nil {
		return nil
	}
	var keys []reconcile.Key
	for _, pod := range index.Owned[*corev1.Pod](c.pods, old.UID) {
		if hasFinalizer(pod) {
			keys = append(keys, reconcile.Key{Namespace: pod.Namespace, Name: pod.Name})
		}
	}
	return keys
}

// maybeOrphan returns a Pod that has the finalizer and no Job that the cache knows.
func (c *controller) maybeOrphan(_, pod *corev1.Pod) []reconcile.Key {
	if pod == nil || !hasFinalizer(pod) || !c.orphaned(pod) {
		return nil
	}
	return []reconcile.Key{{Namespace: pod.Namespace, Name: pod.Name}}
}

func (c *controller) orphaned(pod *corev1.Pod) bool {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		return len(c.owners.Adopting(pod)) == 0
	}
	if ref.Kind != Kind.Kind {
		return true
	}
	job, found := index.Get[*batchv1.Job](c.jobs, pod.Namespace, ref.Name)
	return !found || job.UID != ref.UID
}

func (c *controller) reconcileOrphan(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, found := index.Get[*corev1.Pod](c.pods, key.Namespace, key.Name)
	if !found || !hasFinalizer(pod) || !c.orphaned(pod) {
		return reconcile.Result{}, nil
	}
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil && ref.Kind == Kind.Kind {
		// The Job may be newer than the cache; only the API itself knows.
		job, err := c.client.BatchV1().Jobs(key.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err == nil && job.UID == ref.UID {
			return reconcile.Result{}, nil
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{}, c.removeFinalizer(ctx, pod)
}

// removeFinalizer lets a Pod go. One that is gone needs no letting go.
func (c *controller) removeFinalizer(ctx context.Context, pod *corev1.Pod) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "$deleteFromPrimitiveList/finalizers": []string{batchv1.JobTrackingFinalizer},
	}})
	if err != nil {
		return err
	}
	_, err = c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		return nil // gone, or another Pod of the same name
	}
	if err == nil {
		reconcile.Note(ctx, journal.Record{Step: "release", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Note: "accounted for"})
	}
	return err
}
