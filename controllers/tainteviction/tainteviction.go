// Package tainteviction deletes Pods from Nodes whose NoExecute taints they do not tolerate, or no longer.
package tainteviction

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

type controller struct {
	client      *client.Set
	pods, nodes cache.SharedIndexInformer
	events      record.EventRecorder
	doomed      doomed
}

// New returns the controller. Its keys are Pods.
func New(set *client.Set, events record.EventRecorder, workers int) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events,
		pods:  set.Informers.Core().V1().Pods().Informer(),
		nodes: set.Informers.Core().V1().Nodes().Informer(),
	}
	if err := index.Node(c.pods); err != nil {
		return reconcile.Controller{}, err
	}
	return reconcile.Controller{
		Name: "taint-eviction-controller", Queue: "noexec_taint_pod", Kind: "Pod", Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.pods, Keys: reconcile.Of(moved)},
			{Informer: c.nodes, Keys: reconcile.Of(c.onNode)},
		},
		Reconcile: c.reconcile,
	}, nil
}

// moved returns a Pod that came to a Node, tolerates something else than before, or is gone.
func moved(old, pod *corev1.Pod) []reconcile.Key {
	switch {
	case pod == nil:
		pod = old
	case old == nil:
		if pod.Spec.NodeName == "" {
			return nil
		}
	case old.Spec.NodeName == pod.Spec.NodeName && old.UID == pod.UID && equality.Semantic.DeepEqual(old.Spec.Tolerations, pod.Spec.Tolerations):
		return nil
	}
	return []reconcile.Key{{Namespace: pod.Namespace, Name: pod.Name}}
}

// onNode returns the Pods of a Node whose taints have changed.
func (c *controller) onNode(old, node *corev1.Node) []reconcile.Key {
	var before, after []corev1.Taint
	name := ""
	if old != nil {
		before, name = old.Spec.Taints, old.Name
	}
	if node != nil {
		after, name = node.Spec.Taints, node.Name
	}
	if sameNoExecute(before, after) {
		return nil
	}
	var keys []reconcile.Key
	for _, pod := range index.OnNode(c.pods, name) {
		keys = append(keys, reconcile.Key{Namespace: pod.Namespace, Name: pod.Name})
	}
	return keys
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, found := index.Get[*corev1.Pod](c.pods, key.Namespace, key.Name)
	if !found || pod.DeletionTimestamp != nil || pod.Spec.NodeName == "" {
		c.doomed.forget(key)
		return reconcile.Result{}, nil
	}
	node, found := index.Get[*corev1.Node](c.nodes, "", pod.Spec.NodeName)
	if !found { // Pods of Nodes that are gone are collected elsewhere
		c.doomed.forget(key)
		return reconcile.Result{}, nil
	}
	stay, forever := Stay(node.Spec.Taints, pod.Spec.Tolerations)
	if forever {
		if c.doomed.forget(key) {
			c.events.Eventf(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Cancelling deletion of Pod %s", key)
		}
		return reconcile.Result{}, nil
	}
	if stay > 0 {
		if left := time.Until(c.doomed.since(key, pod.UID).Add(stay)); left > 0 {
			return reconcile.Result{After: left}, nil
		}
	}
	if err := c.evict(ctx, pod); err != nil {
		return reconcile.Result{}, err
	}
	c.doomed.forget(key)
	return reconcile.Result{}, nil
}

// evict tells of the deletion, notes its reason in the Pod, for those who count disruptions, and deletes it.
func (c *controller) evict(ctx context.Context, pod *corev1.Pod) error {
	c.events.Eventf(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Marking for deletion Pod %s/%s", pod.Namespace, pod.Name)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": map[string]any{"conditions": []corev1.PodCondition{{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, ObservedGeneration: pod.Generation, LastTransitionTime: metav1.Now(),
		Reason: "DeletionByTaintManager", Message: "Taint manager: deleting due to NoExecute taint",
	}}}})
	if err != nil {
		return err
	}
	api := c.client.CoreV1().Pods(pod.Namespace)
	if _, err = api.Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return ignoreGone(err)
	}
	if err = api.Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}}); err != nil {
		return ignoreGone(err)
	}
	reconcile.Note(ctx, journal.Record{Step: "evict", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Note: "node " + pod.Spec.NodeName + " has a NoExecute taint"})
	return nil
}

// ignoreGone passes over a Pod that is gone, or another one of its name: a conflict of UIDs.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
