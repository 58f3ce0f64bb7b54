// Package podgc deletes Pods that nobody else will: those that have ended and are too many, those of nodes that are no more or
// out of service, and those that were deleted before they had a node.
package podgc

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// quarantine is how long a node must have been missing before its Pods are deleted: it may only be late in the cache.
const quarantine = 40 * time.Second

// terminatedKey is the key of the pass over all ended Pods. No namespace or node is called so.
var terminatedKey = reconcile.Key{Name: "/terminated"}

type controller struct {
	client      *client.Set
	pods, nodes cache.SharedIndexInformer
	threshold   int
	missing     map[string]time.Time // node to when it was first missed; only one worker
}

// New returns the controller. threshold is how many ended Pods may exist; any number if not positive. Keys are Pods
// (by namespace and name), nodes (in namespace "/node", which no Pod has) and terminatedKey.
func New(set *client.Set, threshold int) (reconcile.Controller, error) {
	c := &controller{
		client: set, threshold: threshold, missing: map[string]time.Time{},
		pods:  set.Informers.Core().V1().Pods().Informer(),
		nodes: set.Informers.Core().V1().Nodes().Informer(),
	}
	if err := index.Node(c.pods); err != nil {
		return reconcile.Controller{}, err
	}
	return reconcile.Controller{
		Name: "pod-garbage-collector-controller", Queue: "orphaned_pods_nodes", Kind: "Pod",
		Watches: []reconcile.Watch{
			{Informer: c.pods, Keys: reconcile.Of(c.podEvent)},
			{Informer: c.nodes, Keys: reconcile.Of(c.nodeEvent)},
		},
		Reconcile: c.reconcile,
	}, nil
}

const nodeNamespace = "/node"

func nodeKey(name string) reconcile.Key {
	return reconcile.Key{Namespace: nodeNamespace, Name: name}
}

// podEvent returns what a Pod's change may make due.
func (c *controller) podEvent(old, pod *corev1.Pod) (keys []reconcile.Key) {
	if pod == nil {
		return nil
	}
	if pod.Spec.NodeName != "" && (old == nil || old.Spec.NodeName == "") {
		if _, found := index.Get[*corev1.Node](c.nodes, "", pod.Spec.NodeName); !found {
			keys = append(keys, nodeKey(pod.Spec.NodeName))
		}
	}
	if pod.DeletionTimestamp != nil && (old == nil || old.DeletionTimestamp == nil) && c.stuck(pod) != "" {
		keys = append(keys, reconcile.Key{Namespace: pod.Namespace, Name: pod.Name})
	}
	if c.threshold > 0 && pods.Ended(pod) && (old == nil || !pods.Ended(old)) {
		keys = append(keys, terminatedKey)
	}
	return keys
}

// nodeEvent returns a node that is gone, or went out of service.
func (c *controller) nodeEvent(old, node *corev1.Node) []reconcile.Key {
	if node == nil {
		return []reconcile.Key{nodeKey(old.Name)}
	}
	before := old != nil && Stuck(&dying, old) != ""
	if Stuck(&dying, node) != "" && !before {
		return []reconcile.Key{nodeKey(node.Name)}
	}
	return nil
}

// dying stands for any Pod that is being deleted from a node.
var dying = corev1.Pod{
	ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{}}, Spec: corev1.PodSpec{NodeName: "any"},
}

func (c *controller) stuck(pod *corev1.Pod) Reason {
	node, _ := index.Get[*corev1.Node](c.nodes, "", pod.Spec.NodeName)
	return Stuck(pod, node)
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	switch {
	case key == terminatedKey:
		return reconcile.Result{}, c.deleteAll(ctx, Oldest(index.All[*corev1.Pod](c.pods), c.threshold), Terminated)
	case key.Namespace == nodeNamespace:
		return c.node(ctx, key.Name)
	}
	pod, found := index.Get[*corev1.Pod](c.pods, key.Namespace, key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	if reason := c.stuck(pod); reason != "" {
		return reconcile.Result{}, c.delete(ctx, pod, reason)
	}
	return reconcile.Result{}, nil
}

// node deletes the Pods of a node that is gone, and the dying ones of a node that is out of service.
func (c *controller) node(ctx context.Context, name string) (reconcile.Result, error) {
	on := index.OnNode(c.pods, name)
	if node, found := index.Get[*corev1.Node](c.nodes, "", name); found {
		delete(c.missing, name)
		stuck := pods.Keep(on, func(p *corev1.Pod) bool { return Stuck(p, node) == OutOfService })
		return reconcile.Result{}, c.deleteAll(ctx, stuck, OutOfService)
	}
	if len(on) == 0 {
		delete(c.missing, name)
		return reconcile.Result{}, nil
	}
	since, known := c.missing[name]
	if !known {
		since = time.Now()
		c.missing[name] = since
	}
	if left := quarantine - time.Since(since); left > 0 {
		return reconcile.Result{After: left}, nil
	}
	_, err := c.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		delete(c.missing, name)
		return reconcile.Result{}, nil
	}
	if !apierrors.IsNotFound(err) {
		return reconcile.Result{}, err
	}
	if err := c.deleteAll(ctx, on, Orphaned); err != nil {
		return reconcile.Result{}, err
	}
	delete(c.missing, name)
	return reconcile.Result{}, nil
}

func (c *controller) deleteAll(ctx context.Context, doomed []*corev1.Pod, reason Reason) error {
	return pods.Join(len(doomed), func(i int) error { return c.delete(ctx, doomed[i], reason) })
}

// delete marks a Pod as failed, if it has not ended, so that its owner learns how it went, and deletes it by force.
func (c *controller) delete(ctx context.Context, pod *corev1.Pod, reason Reason) error {
	if !pods.Ended(pod) {
		if err := c.fail(ctx, pod, reason); err != nil {
			return err
		}
	}
	now := int64(0)
	err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return err
	}
	reconcile.Note(ctx, journal.Record{Step: "delete", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Note: string(reason)})
	return nil
}

// fail writes phase Failed and, for a Pod whose node is gone, the condition that says that it was disrupted.
func (c *controller) fail(ctx context.Context, pod *corev1.Pod, reason Reason) error {
	status := map[string]any{"phase": corev1.PodFailed}
	if reason == Orphaned {
		status["conditions"] = []corev1.PodCondition{{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, ObservedGeneration: pod.Generation,
			LastTransitionTime: metav1.Now(), Reason: "DeletionByPodGC", Message: "PodGC: node no longer exists",
		}}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
