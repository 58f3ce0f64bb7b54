// Package endpointslicemirroring copies Endpoints that somebody wrote by hand, for a Service without selector, into
// EndpointSlices, which are all that proxies look at.
package endpointslicemirroring

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/endpointslice"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// ManagedBy is the label by which this controller knows its slices.
const ManagedBy = "endpointslicemirroring-controller.k8s.io"

// leader is the annotation of Endpoints that are locks of old elections.
const leader = "control-plane.alpha.kubernetes.io/leader"

type controller struct {
	client                      *client.Set
	services, endpoints, slices cache.SharedIndexInformer
	events                      record.EventRecorder
	perSubset                   int
	written                     endpointslice.Written
}

// New returns the controller. perSubset is the most addresses of a subset that are mirrored; batch is how long changes of
// Endpoints are collected.
func New(set *client.Set, events record.EventRecorder, workers, perSubset int, batch time.Duration) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events, perSubset: perSubset,
		services:  set.Informers.Core().V1().Services().Informer(),
		endpoints: set.Informers.Core().V1().Endpoints().Informer(),
		slices:    set.Informers.Discovery().V1().EndpointSlices().Informer(),
	}
	return reconcile.Controller{
		Name: "endpointslice-mirroring-controller", Queue: "endpoint_slice_mirroring", Kind: "Endpoints", Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.endpoints, Keys: reconcile.Of(c.changed), Later: func(any, any) time.Duration { return batch }},
			{Informer: c.services, Keys: reconcile.Of(selects)},
			{Informer: c.slices, Keys: reconcile.Each(ofSlice)},
		},
		Reconcile: c.reconcile,
	}, nil
}

// mirrored says whether Endpoints ask for slices: they are no lock, and nobody said not to.
func mirrored(endpoints *corev1.Endpoints) bool {
	_, lock := endpoints.Annotations[leader]
	return !lock && endpoints.Labels[discoveryv1.LabelSkipMirror] != "true" && endpoints.DeletionTimestamp == nil
}

// changed passes over the many Endpoints that a controller keeps: those of Services with a selector.
func (c *controller) changed(old, endpoints *corev1.Endpoints) []reconcile.Key {
	if (old == nil || !mirrored(old)) && (endpoints == nil || !mirrored(endpoints)) {
		return nil
	}
	if endpoints == nil {
		endpoints = old
	}
	if service, found := index.Get[*corev1.Service](c.services, endpoints.Namespace, endpoints.Name); found && service.Spec.Selector != nil {
		return nil
	}
	return []reconcile.Key{{Namespace: endpoints.Namespace, Name: endpoints.Name}}
}

// selects wakes the controller when a Service comes or goes, or its having a selector changes.
func selects(old, service *corev1.Service) []reconcile.Key {
	if old != nil && service != nil && (old.Spec.Selector == nil) == (service.Spec.Selector == nil) {
		return nil
	}
	if service == nil {
		service = old
	}
	return []reconcile.Key{{Namespace: service.Namespace, Name: service.Name}}
}

func ofSlice(slice *discoveryv1.EndpointSlice) []reconcile.Key {
	name := slice.Labels[discoveryv1.LabelServiceName]
	if name == "" || slice.Labels[discoveryv1.LabelManagedBy] != ManagedBy {
		return nil
	}
	return []reconcile.Key{{Namespace: slice.Namespace, Name: name}}
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	endpoints, found := index.Get[*corev1.Endpoints](c.endpoints, key.Namespace, key.Name)
	service, served := index.Get[*corev1.Service](c.services, key.Namespace, key.Name)
	current := c.slicesOf(key)
	if !found || !mirrored(endpoints) || !served || service.Spec.Selector != nil {
		c.written.Forget(key)
		return reconcile.Result{}, c.remove(ctx, current)
	}
	if c.written.Ahead(key, current) {
		return reconcile.Result{After: endpointslice.CatchUp}, nil // the informer has not seen our last writes; it will wake us
	}
	changes := Plan(endpoints, current, c.perSubset)
	c.complain(endpoints, &changes)
	err := c.write(ctx, key, changes)
	switch {
	case err == nil, apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return reconcile.Result{}, nil
	case apierrors.IsConflict(err):
		return reconcile.Result{}, reconcile.Wait("the cache is behind: %w", err)
	}
	c.events.Eventf(endpoints, corev1.EventTypeWarning, "FailedToUpdateEndpointSlices", "Error updating Endpoint Slices for Endpoints %s/%s: %v", key.Namespace, key.Name, err)
	return reconcile.Result{}, err
}

// complain tells of addresses that are not mirrored.
func (c *controller) complain(endpoints *corev1.Endpoints, changes *Changes) {
	if changes.Invalid > 0 {
		c.events.Eventf(endpoints, corev1.EventTypeWarning, "InvalidIPAddress", "Skipped %d invalid IP addresses when mirroring to EndpointSlices", changes.Invalid)
	}
	if changes.Skipped > 0 {
		c.events.Eventf(endpoints, corev1.EventTypeWarning, "TooManyAddressesToMirror",
			"A max of %d addresses can be mirrored to EndpointSlices per Endpoints subset. %d addresses were skipped", c.perSubset, changes.Skipped)
	}
}

func (c *controller) slicesOf(key reconcile.Key) []*discoveryv1.EndpointSlice {
	var own []*discoveryv1.EndpointSlice
	for _, slice := range index.InNamespace[*discoveryv1.EndpointSlice](c.slices, key.Namespace) {
		if slice.Labels[discoveryv1.LabelServiceName] == key.Name && slice.Labels[discoveryv1.LabelManagedBy] == ManagedBy && slice.DeletionTimestamp == nil {
			own = append(own, slice)
		}
	}
	return own
}

func (c *controller) write(ctx context.Context, key reconcile.Key, changes Changes) error {
	api := c.client.DiscoveryV1().EndpointSlices(key.Namespace)
	var errs []error
	for _, slice := range changes.Create {
		made, err := api.Create(ctx, slice, metav1.CreateOptions{})
		errs = append(errs, c.done(ctx, key, "create slice", made, err))
	}
	for _, slice := range changes.Update {
		made, err := api.Update(ctx, slice, metav1.UpdateOptions{})
		errs = append(errs, c.done(ctx, key, "update slice", made, err))
	}
	return errors.Join(append(errs, c.remove(ctx, changes.Delete))...)
}

// done remembers what was written and tells the journal.
func (c *controller) done(ctx context.Context, key reconcile.Key, step string, slice *discoveryv1.EndpointSlice, err error) error {
	if err != nil {
		return fmt.Errorf("failed to %s of %s: %w", step, key.Name, err)
	}
	c.written.Note(key, slice, nil)
	reconcile.Note(ctx, journal.Record{
		Step: step, Kind: "EndpointSlice", Namespace: slice.Namespace, Name: slice.Name, UID: slice.UID, Made: slice.ResourceVersion,
		Owner: "Endpoints/" + key.Namespace + "/" + key.Name, Note: fmt.Sprintf("%d endpoints", len(slice.Endpoints)),
	})
	return nil
}

func (c *controller) remove(ctx context.Context, doomed []*discoveryv1.EndpointSlice) error {
	var errs []error
	for _, slice := range doomed {
		err := c.client.DiscoveryV1().EndpointSlices(slice.Namespace).Delete(ctx, slice.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("failed to delete EndpointSlice %s: %w", slice.Name, err))
		}
	}
	return errors.Join(errs...)
}
