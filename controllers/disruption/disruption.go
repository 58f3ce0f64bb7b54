// Package disruption keeps the status of PodDisruptionBudgets, which evictions are judged by, and takes back announcements of
// disruptions that did not come (stale.go).
package disruption

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/reconcile"
)

type controller struct {
	client                                         *client.Set
	events                                         record.EventRecorder
	budgets, pods                                  cache.SharedIndexInformer
	deployments, sets, statefulSets, replicationCs cache.SharedIndexInformer
}

// New returns the controllers of budgets and of stale announcements.
func New(set *client.Set, events record.EventRecorder) ([]reconcile.Controller, error) {
	c := &controller{
		client: set, events: events,
		budgets:       set.Informers.Policy().V1().PodDisruptionBudgets().Informer(),
		pods:          set.Informers.Core().V1().Pods().Informer(),
		deployments:   set.Informers.Apps().V1().Deployments().Informer(),
		sets:          set.Informers.Apps().V1().ReplicaSets().Informer(),
		statefulSets:  set.Informers.Apps().V1().StatefulSets().Informer(),
		replicationCs: set.Informers.Core().V1().ReplicationControllers().Informer(),
	}
	return []reconcile.Controller{
		{
			Name: "disruption-controller", Queue: "disruption", Kind: "PodDisruptionBudget",
			Watches: []reconcile.Watch{
				{Informer: c.budgets},
				{Informer: c.pods, Keys: reconcile.Each(c.budgetsOf)},
			},
			Synced:    []cache.SharedIndexInformer{c.deployments, c.sets, c.statefulSets, c.replicationCs},
			Reconcile: c.reconcile,
		},
		{
			Name: "disruption-controller", Queue: "stale_pod_disruption", Kind: "Pod",
			Watches:   []reconcile.Watch{{Informer: c.pods, Keys: reconcile.Of(announced)}},
			Reconcile: c.reconcileStale,
		},
	}, nil
}

// budgetsOf returns the budgets that select a Pod.
func (c *controller) budgetsOf(pod *corev1.Pod) []reconcile.Key {
	var keys []reconcile.Key
	for _, budget := range index.InNamespace[*policyv1.PodDisruptionBudget](c.budgets, pod.Namespace) {
		if selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector); err == nil && selector.Matches(labels.Set(pod.Labels)) {
			keys = append(keys, reconcile.Key{Namespace: budget.Namespace, Name: budget.Name})
		}
	}
	return keys
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	budget, found := index.Get[*policyv1.PodDisruptionBudget](c.budgets, key.Namespace, key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	result, err := c.compute(ctx, budget)
	if err != nil {
		// Better no evictions than too many.
		if failed := c.report(ctx, budget, failSafe(budget, err)); failed != nil {
			return reconcile.Result{}, failed
		}
		return reconcile.Result{}, err
	}
	for _, pod := range result.Late {
		c.events.Eventf(pod, corev1.EventTypeWarning, "NotDeleted", "Pod was expected by PDB %s/%s to be deleted but it wasn't", budget.Namespace, budget.Name)
	}
	return reconcile.Result{After: result.After}, c.report(ctx, budget, result.Status)
}

// compute reads what the budget selects and computes its status.
func (c *controller) compute(ctx context.Context, budget *policyv1.PodDisruptionBudget) (Result, error) {
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil {
		return Result{}, err
	}
	s := Snapshot{Budget: budget, Now: time.Now()}
	for _, pod := range index.InNamespace[*corev1.Pod](c.pods, budget.Namespace) {
		if selector.Matches(labels.Set(pod.Labels)) {
			s.Pods = append(s.Pods, pod)
		}
	}
	if len(s.Pods) == 0 {
		c.events.Eventf(budget, corev1.EventTypeNormal, "NoPods", "No matching pods found")
	}
	if partly(budget) {
		unmanaged := false
		if s.Scale, unmanaged, err = c.scale(ctx, s.Pods); err != nil {
			c.events.Eventf(budget, corev1.EventTypeWarning, "CalculateExpectedPodCountFailed", "Failed to calculate the number of expected pods: %v", err)
			return Result{}, err
		}
		if unmanaged {
			c.events.Eventf(budget, corev1.EventTypeWarning, "UnmanagedPods", "Pods selected by this PodDisruptionBudget (selector: %v) were found "+
				"to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. "+
				"To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.", budget.Spec.Selector)
		}
	}
	return Decide(s), nil
}

// report writes a status if it differs.
func (c *controller) report(ctx context.Context, budget *policyv1.PodDisruptionBudget, status policyv1.PodDisruptionBudgetStatus) error {
	if equality.Semantic.DeepEqual(budget.Status, status) {
		return nil
	}
	updated := *budget // shallow: the status is replaced whole
	updated.Status = status
	_, err := c.client.PolicyV1().PodDisruptionBudgets(budget.Namespace).UpdateStatus(ctx, &updated, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
