package disruption

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// staleAfter is how long a Pod may be announced to be disrupted without being deleted.
const staleAfter = 2 * time.Minute

// announced returns a Pod that has the condition DisruptionTarget and goes on all the same.
func announced(_, pod *corev1.Pod) []reconcile.Key {
	if pod == nil {
		return nil
	}
	if _, is := announcement(pod, time.Now()); !is {
		return nil
	}
	return []reconcile.Key{{Namespace: pod.Namespace, Name: pod.Name}}
}

// announcement returns how long the condition DisruptionTarget of a Pod still holds; false if there is nothing to take back.
func announcement(pod *corev1.Pod, now time.Time) (left time.Duration, is bool) {
	if pod.DeletionTimestamp != nil || pods.Ended(pod) {
		return 0, false
	}
	condition := pods.Condition(pod, corev1.DisruptionTarget)
	if condition == nil || condition.Status != corev1.ConditionTrue {
		return 0, false
	}
	return condition.LastTransitionTime.Add(staleAfter).Sub(now), true
}

func (c *controller) reconcileStale(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, found := index.Get[*corev1.Pod](c.pods, key.Namespace, key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	left, is := announcement(pod, time.Now())
	if !is || left > 0 {
		return reconcile.Result{After: max(0, left)}, nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status": map[string]any{"conditions": []corev1.PodCondition{{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionFalse, ObservedGeneration: pod.Generation, LastTransitionTime: metav1.Now(),
		}}},
	})
	if err != nil {
		return reconcile.Result{}, err
	}
	_, err = c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return reconcile.Result{}, nil
	}
	if err == nil {
		reconcile.Note(ctx, journal.Record{Step: "update", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Note: "its disruption did not come"})
	}
	return reconcile.Result{}, err
}
