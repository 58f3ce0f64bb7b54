package statefulset

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// act carries a plan out. What fails is decided about anew next turn, from what is there then.
func (c *controller) act(ctx context.Context, set *appsv1.StatefulSet, plan Plan) error {
	for _, claim := range plan.Reclaim {
		made, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Update(ctx, claim, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("could not update claim %s for retention policy: %w", claim.Name, err)
		}
		if err == nil {
			note(ctx, "update", "PersistentVolumeClaim", made)
		}
	}
	if _, err := pods.SlowStart(len(plan.Create), func(i int) error { return c.create(ctx, set, plan.Create[i]) }); err != nil {
		return err
	}
	for _, pod := range plan.Supply {
		if err := c.supply(ctx, set, pod); err != nil {
			return err
		}
	}
	for _, pod := range plan.Relabel {
		made, err := c.client.CoreV1().Pods(pod.Namespace).Update(ctx, pod, metav1.UpdateOptions{})
		c.tell(set, "update", pod, err)
		if err != nil {
			return err
		}
		note(ctx, "update", "Pod", made)
	}
	_, err := pods.SlowStart(len(plan.Delete), func(i int) error { return c.delete(ctx, set, plan.Delete[i]) })
	return err
}

// create creates a Pod and, before it, the claims that it needs.
func (c *controller) create(ctx context.Context, set *appsv1.StatefulSet, pod *corev1.Pod) error {
	err := c.supply(ctx, set, pod)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil // all is going: nothing to do, nor to tell
	}
	if err != nil {
		c.tell(set, "create", pod, err)
		return err
	}
	made, err := c.client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case apierrors.IsAlreadyExists(err):
		return err // the cache is late
	}
	c.tell(set, "create", pod, err)
	if err != nil {
		return err
	}
	note(ctx, "create", "Pod", made)
	return nil
}

// supply creates a Pod's missing claims.
func (c *controller) supply(ctx context.Context, set *appsv1.StatefulSet, pod *corev1.Pod) error {
	_, ordinal := member(pod.Name)
	for _, claim := range claims(set, ordinal) {
		if there, found := index.Get[*corev1.PersistentVolumeClaim](c.claims, claim.Namespace, claim.Name); found {
			if there.DeletionTimestamp != nil {
				return fmt.Errorf("pvc %s is being deleted", claim.Name)
			}
			continue
		}
		made, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Create(ctx, claim, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			continue
		}
		if err != nil {
			if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				c.events.Eventf(set, corev1.EventTypeWarning, "FailedCreate", "create Claim %s for Pod %s in StatefulSet %s failed error: %s", claim.Name, pod.Name, set.Name, err)
			}
			return fmt.Errorf("failed to create PVC %s: %w", claim.Name, err)
		}
		c.events.Eventf(set, corev1.EventTypeNormal, "SuccessfulCreate", "create Claim %s Pod %s in StatefulSet %s success", claim.Name, pod.Name, set.Name)
		note(ctx, "create", "PersistentVolumeClaim", made)
	}
	return nil
}

func (c *controller) delete(ctx context.Context, set *appsv1.StatefulSet, pod *corev1.Pod) error {
	switch pod.Status.Phase {
	case corev1.PodFailed:
		c.events.Eventf(set, corev1.EventTypeWarning, "RecreatingFailedPod", "StatefulSet %s/%s is recreating failed Pod %s", set.Namespace, set.Name, pod.Name)
	case corev1.PodSucceeded:
		c.events.Eventf(set, corev1.EventTypeNormal, "RecreatingTerminatedPod", "StatefulSet %s/%s is recreating terminated Pod %s", set.Namespace, set.Name, pod.Name)
	}
	err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *metav1.NewPreconditionDeleteOptions(string(pod.UID)))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	c.tell(set, "delete", pod, err)
	if err == nil {
		note(ctx, "delete", "Pod", pod)
	}
	return err
}

// reasons of the events, by what was done to a Pod.
var reasons = map[string]string{"create": "Create", "update": "Update", "delete": "Delete"}

func (c *controller) tell(set *appsv1.StatefulSet, verb string, pod *corev1.Pod, err error) {
	if err == nil {
		c.events.Eventf(set, corev1.EventTypeNormal, "Successful"+reasons[verb], "%s Pod %s in StatefulSet %s successful", verb, pod.Name, set.Name)
		return
	}
	c.events.Eventf(set, corev1.EventTypeWarning, "Failed"+reasons[verb], "%s Pod %s in StatefulSet %s failed error: %s", verb, pod.Name, set.Name, err)
}

// report writes the status if it differs.
func (c *controller) report(ctx context.Context, set *appsv1.StatefulSet, status appsv1.StatefulSetStatus) error {
	if equality.Semantic.DeepEqual(set.Status, status) {
		return nil
	}
	updated := *set // shallow: the status is replaced whole
	updated.Status = status
	_, err := c.client.AppsV1().StatefulSets(set.Namespace).UpdateStatus(ctx, &updated, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func note(ctx context.Context, step, kind string, object metav1.Object) {
	reconcile.Note(ctx, journal.Record{
		Step: step, Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID(), Made: object.GetResourceVersion(),
	})
}
