// Package endpointslice keeps, for each Service with a selector, EndpointSlices that list the addresses of its Pods.
package endpointslice

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// ManagedBy is the label by which this controller knows its slices.
const ManagedBy = "endpointslice-controller.k8s.io"

type controller struct {
	client                        *client.Set
	services, pods, slices, nodes cache.SharedIndexInformer
	events                        record.EventRecorder
	perSlice                      int
	batch                         time.Duration
	written                       Written
}

// New returns the controller. perSlice is the most endpoints in a slice; batch is how long Pods' changes are collected.
func New(set *client.Set, events record.EventRecorder, workers, perSlice int, batch time.Duration) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events, perSlice: perSlice, batch: batch,
		services: set.Informers.Core().V1().Services().Informer(),
		pods:     set.Informers.Core().V1().Pods().Informer(),
		slices:   set.Informers.Discovery().V1().EndpointSlices().Informer(),
		nodes:    set.Informers.Core().V1().Nodes().Informer(),
	}
	return reconcile.Controller{
		Name: "endpointslice-controller", Queue: "endpoint_slice", Kind: "Service", Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.services},
			{Informer: c.pods, Keys: reconcile.Of(OfPods(c.services))},
			{Informer: c.slices, Keys: reconcile.Of(onSlice)},
			{Informer: c.nodes, Keys: reconcile.Of(c.onNode)},
		},
		Reconcile: c.reconcile,
	}, nil
}

// OfPods returns the Services, of those in an informer, whose endpoints a Pod's change changes: the keys of a watch of Pods.
func OfPods(services cache.SharedIndexInformer) func(old, pod *corev1.Pod) []reconcile.Key {
	return func(old, pod *corev1.Pod) []reconcile.Key {
		if old != nil && pod != nil && !changed(old, pod) {
			return nil
		}
		var keys []reconcile.Key
		for _, p := range []*corev1.Pod{old, pod} {
			if p == nil {
				continue
			}
			for _, service := range index.InNamespace[*corev1.Service](services, p.Namespace) {
				if len(service.Spec.Selector) > 0 && labels.SelectorFromValidatedSet(service.Spec.Selector).Matches(labels.Set(p.Labels)) {
					keys = append(keys, reconcile.Key{Namespace: service.Namespace, Name: service.Name})
				}
			}
		}
		return keys
	}
}

// changed says whether an update of a Pod can change its endpoint.
func changed(old, pod *corev1.Pod) bool {
	return pods.Ready(old) != pods.Ready(pod) || old.Status.PodIP != pod.Status.PodIP || len(old.Status.PodIPs) != len(pod.Status.PodIPs) ||
		(old.DeletionTimestamp == nil) != (pod.DeletionTimestamp == nil) || pods.Ended(old) != pods.Ended(pod) ||
		old.Spec.NodeName != pod.Spec.NodeName || old.Spec.Hostname != pod.Spec.Hostname || old.Spec.Subdomain != pod.Spec.Subdomain ||
		!equality.Semantic.DeepEqual(old.Labels, pod.Labels)
}

// onSlice wakes the controller when somebody else changes or deletes a slice of its own.
func onSlice(old, slice *discoveryv1.EndpointSlice) []reconcile.Key {
	var keys []reconcile.Key
	for _, s := range []*discoveryv1.EndpointSlice{old, slice} {
		if s == nil {
			continue
		}
		if name := s.Labels[discoveryv1.LabelServiceName]; name != "" && s.Labels[discoveryv1.LabelManagedBy] == ManagedBy {
			keys = append(keys, reconcile.Key{Namespace: s.Namespace, Name: name})
		}
	}
	return keys
}

// onNode wakes the Services whose hints depend on zones when a Node's zone changes.
func (c *controller) onNode(old, node *corev1.Node) []reconcile.Key {
	if old == nil || node == nil || old.Labels[corev1.LabelTopologyZone] == node.Labels[corev1.LabelTopologyZone] {
		return nil
	}
	var keys []reconcile.Key
	for _, service := range index.All[*corev1.Service](c.services) {
		if len(service.Spec.Selector) > 0 {
			keys = append(keys, reconcile.Key{Namespace: service.Namespace, Name: service.Name})
		}
	}
	return keys
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	service, found := index.Get[*corev1.Service](c.services, key.Namespace, key.Name)
	if !found || service.DeletionTimestamp != nil || len(service.Spec.Selector) == 0 || service.Spec.Type == corev1.ServiceTypeExternalName {
		return reconcile.Result{}, c.removeAll(ctx, key, found)
	}
	if c.batch > 0 {
		select {
		case <-ctx.Done():
			return reconcile.Result{}, ctx.Err()
		case <-time.After(c.batch):
		}
	}
	slices := c.slicesOf(key)
	if c.written.Ahead(key, slices) {
		return reconcile.Result{After: CatchUp}, nil // the informer has not seen our last writes; it will wake us
	}
	changes := Plan(Snapshot{Service: service, Pods: c.podsOf(service), Slices: slices, Zone: c.zoneOf, PerSlice: c.perSlice})
	if err := c.write(ctx, service, changes); err != nil {
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return reconcile.Result{}, nil
		}
		c.events.Eventf(service, corev1.EventTypeWarning, "FailedToUpdateEndpointSlices", "Error updating Endpoint Slices for Service %s/%s: %v", service.Namespace, service.Name, err)
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, nil
}

// removeAll deletes the slices of a Service that has no selector any more. Those of one that is gone are the garbage
// collector's.
func (c *controller) removeAll(ctx context.Context, key reconcile.Key, there bool) error {
	c.written.Forget(key)
	if !there {
		return nil
	}
	var errs []error
	for _, slice := range c.slicesOf(key) {
		errs = append(errs, c.remove(ctx, slice))
	}
	return errors.Join(errs...)
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

func (c *controller) slicesOf(key reconcile.Key) []*discoveryv1.EndpointSlice {
	var slices []*discoveryv1.EndpointSlice
	for _, slice := range index.InNamespace[*discoveryv1.EndpointSlice](c.slices, key.Namespace) {
		if slice.Labels[discoveryv1.LabelServiceName] == key.Name && slice.Labels[discoveryv1.LabelManagedBy] == ManagedBy && slice.DeletionTimestamp == nil {
			slices = append(slices, slice)
		}
	}
	return slices
}

func (c *controller) zoneOf(name string) string {
	if node, found := index.Get[*corev1.Node](c.nodes, "", name); found {
		return node.Labels[corev1.LabelTopologyZone]
	}
	return ""
}

// write carries out changes. A slice that was seen too old is a conflict, and tried again later.
func (c *controller) write(ctx context.Context, service *corev1.Service, changes Changes) error {
	api := c.client.DiscoveryV1().EndpointSlices(service.Namespace)
	var errs []error
	key := reconcile.Key{Namespace: service.Namespace, Name: service.Name}
	for _, slice := range changes.Create {
		made, err := api.Create(ctx, slice, metav1.CreateOptions{})
		errs = append(errs, wrap("create", slice.GenerateName, err))
		c.note(ctx, service, made, "create slice", err)
		c.written.Note(key, made, err)
	}
	for _, slice := range changes.Update {
		made, err := api.Update(ctx, slice, metav1.UpdateOptions{})
		errs = append(errs, wrap("update", slice.Name, err))
		c.note(ctx, service, made, "update slice", err)
		c.written.Note(key, made, err)
	}
	for _, slice := range changes.Delete {
		errs = append(errs, wrap("delete", slice.Name, c.remove(ctx, slice)))
	}
	return errors.Join(errs...)
}

func (c *controller) note(ctx context.Context, service *corev1.Service, slice *discoveryv1.EndpointSlice, step string, err error) {
	if err != nil {
		return
	}
	reconcile.Note(ctx, journal.Record{
		Step: step, Kind: "EndpointSlice", Namespace: slice.Namespace, Name: slice.Name, UID: slice.UID, Made: slice.ResourceVersion,
		Owner: "Service/" + service.Namespace + "/" + service.Name, Note: fmt.Sprintf("%d endpoints", len(slice.Endpoints)),
	})
}

func (c *controller) remove(ctx context.Context, slice *discoveryv1.EndpointSlice) error {
	err := c.client.DiscoveryV1().EndpointSlices(slice.Namespace).Delete(ctx, slice.Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// wrap names the slice in an error; the reason stays to be seen behind it.
func wrap(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("failed to %s EndpointSlice %s: %w", verb, name, err)
}
