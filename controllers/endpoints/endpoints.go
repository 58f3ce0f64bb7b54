// Package endpoints keeps, for each Service with a selector, an Endpoints object: the older way to tell where its Pods are,
// which holds one family of addresses and at most 1000 of them.
package endpoints

import (
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/endpointslice"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

const (
	// managedBy and manager are the label by which others know this controller's objects.
	managedBy = "endpoints.kubernetes.io/managed-by"
	manager   = "endpoint-controller"
	// leader is the annotation of Endpoints that are locks of old elections, and belong to no Service.
	leader = "control-plane.alpha.kubernetes.io/leader"
	// truncated is the value of the annotation of an object that cannot hold all addresses.
	truncated = "truncated"
)

type controller struct {
	client                    *client.Set
	services, pods, endpoints cache.SharedIndexInformer
	events                    record.EventRecorder
}

// New returns the controller. batch is how long Pods' changes are collected.
func New(set *client.Set, events record.EventRecorder, workers int, batch time.Duration) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events,
		services:  set.Informers.Core().V1().Services().Informer(),
		pods:      set.Informers.Core().V1().Pods().Informer(),
		endpoints: set.Informers.Core().V1().Endpoints().Informer(),
	}
	later := func(any, any) time.Duration { return batch }
	return reconcile.Controller{
		Name: "endpoints-controller", Queue: "endpoint", Kind: "Service", Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.services},
			{Informer: c.pods, Keys: reconcile.Of(endpointslice.OfPods(c.services)), Later: later},
			{Informer: c.endpoints, Keys: reconcile.Of(gone)},
		},
		Reconcile: c.reconcile, Start: c.leftOver,
	}, nil
}

// gone wakes the controller when somebody deletes an object; those of no Service are nobody's to bring back.
func gone(old, endpoints *corev1.Endpoints) []reconcile.Key {
	if endpoints != nil {
		return nil
	}
	return []reconcile.Key{{Namespace: old.Namespace, Name: old.Name}}
}

// leftOver has the objects of Services looked at that went while nobody watched.
func (c *controller) leftOver(_ context.Context, enqueue func(reconcile.Key)) error {
	for _, endpoints := range index.All[*corev1.Endpoints](c.endpoints) {
		_, served := index.Get[*corev1.Service](c.services, endpoints.Namespace, endpoints.Name)
		if _, lock := endpoints.Annotations[leader]; !served && !lock {
			enqueue(reconcile.Key{Namespace: endpoints.Namespace, Name: endpoints.Name})
		}
	}
	return nil
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	service, found := index.Get[*corev1.Service](c.services, key.Namespace, key.Name)
	if !found {
		err := c.client.CoreV1().Endpoints(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return reconcile.Result{}, err
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName || len(service.Spec.Selector) == 0 || service.DeletionTimestamp != nil {
		return reconcile.Result{}, nil // whoever made the Service may fill its Endpoints
	}
	pods := c.podsOf(service)
	current, _ := index.Get[*corev1.Endpoints](c.endpoints, key.Namespace, key.Name)
	wanted := Wanted(service, pods, current)
	if wanted == nil {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, c.write(ctx, service, wanted, current != nil)
}

func (c *controller) podsOf(service *corev1.Service) []*corev1.Pod {
	selector := labels.SelectorFromValidatedSet(service.Spec.Selector)
	var pods []*corev1.Pod
	for _, pod := range index.InNamespace[*corev1.Pod](c.pods, service.Namespace) {
		if selector.Matches(labels.Set(pod.Labels)) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Wanted returns the Endpoints to write for a Service and its Pods; nil if current, which may be nil, is right.
func Wanted(service *corev1.Service, pods []*corev1.Pod, current *corev1.Endpoints) *corev1.Endpoints {
	wanted := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: service.Namespace, Name: service.Name}}
	if current != nil {
		wanted = current.DeepCopy()
	}
	wanted.Labels = labelsOf(service)
	over := false
	wanted.Subsets, over = truncate(Subsets(service, pods))
	annotate(wanted, corev1.EndpointsOverCapacity, truncated, over)
	if current != nil && equality.Semantic.DeepEqual(wanted.Subsets, current.Subsets) && equality.Semantic.DeepEqual(wanted.Labels, current.Labels) &&
		wanted.Annotations[corev1.EndpointsOverCapacity] == current.Annotations[corev1.EndpointsOverCapacity] {
		return nil
	}
	last := endpointslice.LastChange(service, pods)
	annotate(wanted, corev1.EndpointsLastChangeTriggerTime, last.UTC().Format(time.RFC3339Nano), !last.IsZero())
	return wanted
}

// labelsOf are the Service's and this controller's.
func labelsOf(service *corev1.Service) map[string]string {
	all := maps.Clone(service.Labels)
	if all == nil {
		all = map[string]string{}
	}
	delete(all, corev1.IsHeadlessService)
	if service.Spec.ClusterIP == corev1.ClusterIPNone || service.Spec.ClusterIP == "" {
		all[corev1.IsHeadlessService] = ""
	}
	all[managedBy] = manager
	return all
}

// annotate sets or removes an annotation.
func annotate(endpoints *corev1.Endpoints, key, value string, set bool) {
	if !set {
		delete(endpoints.Annotations, key)
		return
	}
	if endpoints.Annotations == nil {
		endpoints.Annotations = map[string]string{}
	}
	endpoints.Annotations[key] = value
}

// write creates or updates. A cache that was behind is no failure: the object is looked at again.
func (c *controller) write(ctx context.Context, service *corev1.Service, wanted *corev1.Endpoints, there bool) error {
	api := c.client.CoreV1().Endpoints(wanted.Namespace)
	step, call, reason := "create", api.Create, "FailedToCreateEndpoint"
	if there {
		step, reason = "update", "FailedToUpdateEndpoint"
		call = func(ctx context.Context, endpoints *corev1.Endpoints, _ metav1.CreateOptions) (*corev1.Endpoints, error) {
			return api.Update(ctx, endpoints, metav1.UpdateOptions{})
		}
	}
	made, err := call(ctx, wanted, metav1.CreateOptions{})
	switch {
	case err == nil:
		reconcile.Note(ctx, journal.Record{
			Step: step + " endpoints", Kind: "Endpoints", Namespace: made.Namespace, Name: made.Name, UID: made.UID, Made: made.ResourceVersion,
			Owner: "Service/" + service.Namespace + "/" + service.Name,
		})
		return nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err):
		return reconcile.Wait("the cache is behind: %w", err)
	}
	format := "Failed to create endpoint for service %s/%s: %v"
	if step == "update" {
		format = "Failed to update endpoint %s/%s: %v"
	}
	c.events.Eventf(service, corev1.EventTypeWarning, reason, format, wanted.Namespace, wanted.Name, err)
	return err
}
