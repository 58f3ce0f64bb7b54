// Package deployment rolls Deployments out: it makes a ReplicaSet for each new template and moves the Pods over to it
// within the limits of the strategy. Decide, a pure function, says what to do; this file reads and writes.
package deployment

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/own"
	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/reconcile"
)

// Kind is what ReplicaSets name in their controllerRef.
var Kind = appsv1.SchemeGroupVersion.WithKind("Deployment")

type controller struct {
	client                  *client.Set
	events                  record.EventRecorder
	deployments, sets, pods cache.SharedIndexInformer
	owners                  own.Owners[*appsv1.Deployment] // of ReplicaSets
}

// New returns the controller of Deployments.
func New(set *client.Set, events record.EventRecorder, workers int) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events,
		deployments: set.Informers.Apps().V1().Deployments().Informer(),
		sets:        set.Informers.Apps().V1().ReplicaSets().Informer(),
		pods:        set.Informers.Core().V1().Pods().Informer(),
	}
	c.owners = own.Owners[*appsv1.Deployment]{
		Informer: c.deployments, Kind: Kind, Selector: func(d *appsv1.Deployment) *metav1.LabelSelector { return d.Spec.Selector },
	}
	for _, informer := range []cache.SharedIndexInformer{c.sets, c.pods} {
		if err := index.Controller(informer); err != nil {
			return reconcile.Controller{}, err
		}
	}
	return reconcile.Controller{
		Name: "deployment-controller", Queue: "deployment", Kind: Kind.Kind, Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.deployments},
			{Informer: c.sets, Keys: reconcile.Of(c.owners.Concerned)},
			{Informer: c.pods, Keys: reconcile.Of(c.podEvent)},
		},
		Reconcile: c.reconcile,
	}, nil
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	d, found := index.Get[*appsv1.Deployment](c.deployments, key.Namespace, key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	if d.Spec.Selector == nil || equality.Semantic.DeepEqual(d.Spec.Selector, &metav1.LabelSelector{}) {
		c.events.Event(d, corev1.EventTypeWarning, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.")
		return reconcile.Result{}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, nil // validation keeps such objects out; no retry could mend one
	}
	sets, err := c.claim(ctx, d, selector)
	if err != nil {
		return reconcile.Result{}, err
	}
	snapshot := Snapshot{Deployment: d, Sets: sets, Now: time.Now()}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		snapshot.Running = c.running(sets)
	}
	plan := Decide(snapshot)
	if err := c.act(ctx, d, plan); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{After: plan.After}, nil
}

// claim returns the ReplicaSets that belong to d, of those that name it and those that nobody controls.
func (c *controller) claim(ctx context.Context, d *appsv1.Deployment, selector labels.Selector) ([]*appsv1.ReplicaSet, error) {
	candidates := append(index.Owned[*appsv1.ReplicaSet](c.sets, d.UID), index.Orphans[*appsv1.ReplicaSet](c.sets, d.Namespace)...)
	claim := own.Claim[*appsv1.ReplicaSet]{
		Owner: d, Kind: Kind, Selector: selector, Of: "ReplicaSet",
		Fresh: func(ctx context.Context) (metav1.Object, error) {
			fresh, err := c.client.AppsV1().Deployments(d.Namespace).Get(ctx, d.Name, metav1.GetOptions{})
			if err != nil {
				return nil, err
			}
			return fresh, nil
		},
		Patch: func(ctx context.Context, rs *appsv1.ReplicaSet, patch []byte) error {
			_, err := c.client.AppsV1().ReplicaSets(rs.Namespace).Patch(ctx, rs.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
			return err
		},
	}
	return claim.Sort(ctx, candidates)
}

// running counts the Pods of each set that have not ended.
func (c *controller) running(sets []*appsv1.ReplicaSet) map[string]int {
	count := map[string]int{}
	for _, rs := range sets {
		for _, pod := range index.Owned[*corev1.Pod](c.pods, rs.UID) {
			if !pods.Ended(pod) {
				count[string(rs.UID)]++
			}
		}
	}
	return count
}

// podEvent wakes a Deployment with strategy Recreate when a Pod ends or goes: it may be the last of the old ones. In all
// other cases the ReplicaSet's status tells enough.
func (c *controller) podEvent(old, pod *corev1.Pod) []reconcile.Key {
	if old == nil || (pod != nil && (pods.Ended(old) || !pods.Ended(pod))) {
		return nil
	}
	ref := metav1.GetControllerOfNoCopy(old)
	if ref == nil || ref.Kind != "ReplicaSet" {
		return nil
	}
	rs, found := index.Get[*appsv1.ReplicaSet](c.sets, old.Namespace, ref.Name)
	if !found || rs.UID != ref.UID {
		return nil
	}
	d, found := c.owners.Of(rs)
	if !found || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		return nil
	}
	return []reconcile.Key{{Namespace: d.Namespace, Name: d.Name}}
}

// describe is how a change of size is told.
func describe(name string, from, to int32) string {
	direction := "up"
	if to < from {
		direction = "down"
	}
	return fmt.Sprintf("Scaled %s replica set %s from %d to %d", direction, name, from, to)
}

// gone treats an object that vanished as done.
func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
