// Package service gives Services of type LoadBalancer what the provider has for them: an address that answers. It is the
// part of the cloud-controller-manager that upstream calls the service controller.
package service

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/api"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Finalizer holds a Service until its load balancer is gone.
const Finalizer = "service.kubernetes.io/load-balancer-cleanup"

// New returns the controller.
func New(set *client.Set, balancer cloudprovider.LoadBalancer, cluster string, workers int, events record.EventRecorder) reconcile.Controller {
	services, nodes := set.Informers.Core().V1().Services(), set.Informers.Core().V1().Nodes()
	c := &controller{set: set, balancer: balancer, cluster: cluster, events: events, services: services.Lister(), nodes: nodes.Lister()}
	return reconcile.Controller{
		Name: "service-lb-controller", Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: services.Informer(), Keys: reconcile.Of(wantsBalancing)},
			{Informer: nodes.Informer(), Keys: reconcile.Of(c.onNode)},
		},
		Reconcile: c.reconcile,
	}
}

type controller struct {
	set      *client.Set
	balancer cloudprovider.LoadBalancer
	cluster  string
	events   record.EventRecorder
	services corelisters.ServiceLister
	nodes    corelisters.NodeLister
}

// wantsBalancing passes over Services that neither have nor want a load balancer, and changes of status alone.
func wantsBalancing(old, service *corev1.Service) []reconcile.Key {
	if service == nil || !wants(service) && !slices.Contains(service.Finalizers, Finalizer) {
		return nil
	}
	same := old != nil && equality.Semantic.DeepEqual(old.Spec, service.Spec) && old.UID == service.UID &&
		equality.Semantic.DeepEqual(old.Annotations, service.Annotations) && (old.DeletionTimestamp == nil) == (service.DeletionTimestamp == nil)
	if same {
		return nil
	}
	return []reconcile.Key{{Namespace: service.Namespace, Name: service.Name}}
}

// onNode wakes all balanced Services when the set of Nodes behind them changes.
func (c *controller) onNode(old, node *corev1.Node) []reconcile.Key {
	if old != nil && node != nil && balanced(old) == balanced(node) && equality.Semantic.DeepEqual(old.Status.Addresses, node.Status.Addresses) {
		return nil
	}
	all, err := c.services.List(labels.Everything())
	if err != nil {
		return nil // listers of informers do not fail
	}
	var keys []reconcile.Key
	for _, service := range all {
		if wants(service) {
			keys = append(keys, reconcile.Key{Namespace: service.Namespace, Name: service.Name})
		}
	}
	return keys
}

func wants(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil && service.DeletionTimestamp == nil
}

// balanced says whether a load balancer may send traffic to a Node.
func balanced(node *corev1.Node) bool {
	if _, excluded := node.Labels[corev1.LabelNodeExcludeBalancers]; excluded || node.DeletionTimestamp != nil {
		return false
	}
	return !slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == api.TaintExternalCloudProvider || t.Key == "ToBeDeletedByClusterAutoscaler"
	})
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	service, err := c.services.Services(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil // the finalizer has seen to it
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if wants(service) {
		err = c.ensure(ctx, service)
	} else if slices.Contains(service.Finalizers, Finalizer) {
		err = c.remove(ctx, service)
	}
	var later *api.RetryError
	if errors.As(err, &later) {
		return reconcile.Result{After: later.RetryAfter()}, nil
	}
	return reconcile.Result{}, err
}

func (c *controller) ensure(ctx context.Context, service *corev1.Service) error {
	if !slices.Contains(service.Finalizers, Finalizer) {
		changed := service.DeepCopy()
		changed.Finalizers = append(changed.Finalizers, Finalizer)
		updated, err := c.set.CoreV1().Services(service.Namespace).Update(ctx, changed, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
		service = updated
	}
	if len(service.Status.LoadBalancer.Ingress) == 0 {
		c.events.Event(service, corev1.EventTypeNormal, "EnsuringLoadBalancer", "Ensuring load balancer")
	}
	nodes, err := c.targets()
	if err != nil {
		return err
	}
	status, err := c.balancer.EnsureLoadBalancer(ctx, c.cluster, service, nodes)
	if errors.Is(err, cloudprovider.ImplementedElsewhere) {
		return nil
	}
	if err != nil {
		c.events.Eventf(service, corev1.EventTypeWarning, "SyncLoadBalancerFailed", "Error syncing load balancer: %v", err)
		return fmt.Errorf("failed to ensure load balancer: %w", err)
	}
	if equality.Semantic.DeepEqual(&service.Status.LoadBalancer, status) {
		return nil
	}
	if err := c.publish(ctx, service, *status); err != nil {
		return err
	}
	c.events.Event(service, corev1.EventTypeNormal, "EnsuredLoadBalancer", "Ensured load balancer")
	reconcile.Note(ctx, journal.Record{
		Step: "load balancer", Kind: "Service", Namespace: service.Namespace, Name: service.Name, UID: service.UID, Note: addressesOf(status),
	})
	return nil
}

func (c *controller) remove(ctx context.Context, service *corev1.Service) error {
	c.events.Event(service, corev1.EventTypeNormal, "DeletingLoadBalancer", "Deleting load balancer")
	if err := c.balancer.EnsureLoadBalancerDeleted(ctx, c.cluster, service); err != nil {
		c.events.Eventf(service, corev1.EventTypeWarning, "SyncLoadBalancerFailed", "Error syncing load balancer: failed to delete load balancer: %v", err)
		return fmt.Errorf("failed to delete load balancer: %w", err)
	}
	if err := c.publish(ctx, service, corev1.LoadBalancerStatus{}); err != nil {
		return err
	}
	current, err := c.set.CoreV1().Services(service.Namespace).Get(ctx, service.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	current.Finalizers = slices.DeleteFunc(current.Finalizers, func(f string) bool { return f == Finalizer })
	if _, err := c.set.CoreV1().Services(service.Namespace).Update(ctx, current, metav1.UpdateOptions{}); err != nil {
		return err
	}
	c.events.Event(service, corev1.EventTypeNormal, "DeletedLoadBalancer", "Deleted load balancer")
	return nil
}

// publish writes the status, if it is another one.
func (c *controller) publish(ctx context.Context, service *corev1.Service, status corev1.LoadBalancerStatus) error {
	if equality.Semantic.DeepEqual(service.Status.LoadBalancer, status) {
		return nil
	}
	changed := service.DeepCopy()
	changed.Status.LoadBalancer = status
	_, err := c.set.CoreV1().Services(service.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	return err
}

// targets are the Nodes that a load balancer sends traffic to, in the order of their names.
func (c *controller) targets() ([]*corev1.Node, error) {
	all, err := c.nodes.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	targets := slices.DeleteFunc(slices.Clone(all), func(n *corev1.Node) bool { return !balanced(n) })
	slices.SortFunc(targets, func(a, b *corev1.Node) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return targets, nil
}

func addressesOf(status *corev1.LoadBalancerStatus) string {
	text := ""
	for _, ingress := range status.Ingress {
		text += " " + ingress.IP + ingress.Hostname
	}
	return "address" + text
}
