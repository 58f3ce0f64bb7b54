package services

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/reconcile"
)

// settling is how long what was taken for a Service may wait for the Service to be written: as long as a request may take.
const settling = time.Minute

// Repair makes what is taken agree with the Services there are. A crash between two writes, or somebody who edits IPAddress objects,
// may have driven them apart.
type Repair struct {
	a                   *Allocator
	set                 *client.Set
	services, addresses cache.SharedIndexInformer
}

// Repair returns the loops on a server's own informers, which are registered but not started.
func (a *Allocator) Repair(set *client.Set) *Repair {
	return &Repair{
		a: a, set: set,
		services:  set.Informers.Core().V1().Services().Informer(),
		addresses: set.Informers.Networking().V1().IPAddresses().Informer(),
	}
}

const repairer = "ipallocator-repair-controller"

// Run repairs until ctx ends.
func (r *Repair) Run(ctx context.Context) error {
	return reconcile.Runner{Component: "kube-apiserver"}.Run(ctx,
		reconcile.Controller{
			Name: repairer, Queue: "services", Kind: "Service",
			Watches:   []reconcile.Watch{{Informer: r.services}, {Informer: r.addresses, Keys: reconcile.Of(serviceOfLost)}},
			Start:     func(ctx context.Context, _ func(reconcile.Key)) error { go r.ports(ctx); return nil },
			Reconcile: r.service,
		},
		reconcile.Controller{
			Name: repairer, Queue: "ipaddresses", Kind: "IPAddress",
			Watches: []reconcile.Watch{{Informer: r.addresses}}, Synced: []cache.SharedIndexInformer{r.services},
			Reconcile: r.address,
		})
}

// serviceOfLost is the Service whose address object has gone.
func serviceOfLost(old, now *networkingv1.IPAddress) []reconcile.Key {
	if now != nil || !ofService(old) {
		return nil
	}
	return []reconcile.Key{{Namespace: old.Spec.ParentRef.Namespace, Name: old.Spec.ParentRef.Name}}
}

func ofService(address *networkingv1.IPAddress) bool {
	ref := address.Spec.ParentRef
	return ref != nil && ref.Group == "" && ref.Resource == "services"
}

// service makes sure that each of a Service's addresses has an object that says so.
func (r *Repair) service(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	service, found := r.get(key)
	if !found || !needsAddress(service) {
		return reconcile.Result{}, nil
	}
	for _, ip := range service.Spec.ClusterIPs {
		address, err := netip.ParseAddr(ip)
		if err != nil {
			r.warn(ctx, service, "ClusterIPNotValid", "ClusterIPValidation", fmt.Sprintf("Cluster IP %s is not a valid IP; please recreate Service", ip))
			continue
		}
		if err := r.hold(ctx, service, address); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{}, nil
}

// hold looks at one address of a Service.
func (r *Repair) hold(ctx context.Context, service *corev1.Service, address netip.Addr) error {
	const action = "ClusterIPAllocation"
	family := familyOf(address)
	if inside, _ := r.a.addresses.inside(ctx, address); !inside {
		r.warn(ctx, service, "ClusterIPOutOfRange", action, fmt.Sprintf("Cluster IP [%v]: %s is not within any configured Service CIDR; please recreate service", family, address))
		return nil
	}
	object, err := r.find(ctx, address)
	switch {
	case err != nil:
		return err
	case object == nil:
		r.warn(ctx, service, "ClusterIPNotAllocated", action, fmt.Sprintf("Cluster IP [%v]: %s is not allocated; repairing", family, address))
		return ignoreExists(r.a.addresses.create(ctx, address, service))
	case !ofService(object) || !r.holds(object):
		if ofService(object) && object.Spec.ParentRef.Namespace == service.Namespace && object.Spec.ParentRef.Name == service.Name {
			return nil // the informer of Services is behind
		}
		r.warn(ctx, service, "ClusterIPNotAllocated", action,
			fmt.Sprintf("the ClusterIP [%v]: %s for Service %s/%s has a wrong reference; repairing", family, address, service.Namespace, service.Name))
		return r.replace(ctx, object, address, service)
	case object.Spec.ParentRef.Namespace != service.Namespace || object.Spec.ParentRef.Name != service.Name:
		r.warn(ctx, service, "ClusterIPAlreadyAllocated", action, fmt.Sprintf("Cluster IP [%v]:%s was assigned to multiple services; please recreate service", family, address))
	case object.Labels[networkingv1.LabelManagedBy] != managedBy || object.Labels[networkingv1.LabelIPAddressFamily] != string(family):
		return r.replace(ctx, object, address, service)
	}
	return nil
}

// find returns an address's object, nil if there is none: from the informer, and since that may be behind, from etcd.
func (r *Repair) find(ctx context.Context, address netip.Addr) (*networkingv1.IPAddress, error) {
	if obj, exists, err := r.addresses.GetIndexer().GetByKey(address.String()); err == nil && exists {
		return obj.(*networkingv1.IPAddress), nil
	}
	item, err := r.a.addresses.resources.Get(ipAddresses).Open().Get(ctx, store.Key{Name: address.String()}, "")
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return item.Object.(*networkingv1.IPAddress), nil
}

// holds says whether the Service that an object names exists and has the address.
func (r *Repair) holds(object *networkingv1.IPAddress) bool {
	service, found := r.get(reconcile.Key{Namespace: object.Spec.ParentRef.Namespace, Name: object.Spec.ParentRef.Name})
	if !found {
		return false
	}
	for _, ip := range service.Spec.ClusterIPs {
		if ip == object.Name {
			return true
		}
	}
	return false
}

func (r *Repair) replace(ctx context.Context, object *networkingv1.IPAddress, address netip.Addr, service *corev1.Service) error {
	if err := r.drop(ctx, object); err != nil {
		return err
	}
	return r.a.addresses.create(ctx, address, service)
}

// drop deletes an object, unless it is another one by now.
func (r *Repair) drop(ctx context.Context, object *networkingv1.IPAddress) error {
	err := r.set.NetworkingV1().IPAddresses().Delete(ctx, object.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &object.UID, ResourceVersion: &object.ResourceVersion}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// address deletes an object of the allocator's to which no Service stands any more.
func (r *Repair) address(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	obj, exists, err := r.addresses.GetIndexer().GetByKey(key.Name)
	if err != nil || !exists {
		return reconcile.Result{}, err
	}
	object := obj.(*networkingv1.IPAddress)
	if object.Labels[networkingv1.LabelManagedBy] != managedBy {
		return reconcile.Result{}, nil
	}
	const reason, action = "IPAddressNotAllocated", "IPAddressAllocation"
	if !ofService(object) {
		r.warn(ctx, object, reason, action, fmt.Sprintf("IPAddress %s appears to have been modified, not referencing a Service %v: cleaning up", object.Name, object.Spec.ParentRef))
		return reconcile.Result{}, r.drop(ctx, object)
	}
	if r.holds(object) {
		return reconcile.Result{}, nil
	}
	if left := settling - time.Since(object.CreationTimestamp.Time); left > 0 {
		return reconcile.Result{After: left}, nil
	}
	r.warn(ctx, object, reason, action,
		fmt.Sprintf("IPAddress: %s for Service %s/%s appears to have leaked: cleaning up", object.Name, object.Spec.ParentRef.Namespace, object.Spec.ParentRef.Name))
	return reconcile.Result{}, r.drop(ctx, object)
}

func (r *Repair) get(key reconcile.Key) (*corev1.Service, bool) {
	obj, exists, err := r.services.GetIndexer().GetByKey(key.String())
	service, ok := obj.(*corev1.Service)
	return service, err == nil && exists && ok
}

// warn tells an event about an object. It is lost if it cannot be written: the repair matters more.
func (r *Repair) warn(ctx context.Context, about metav1.Object, reason, action, note string) {
	regarding := corev1.ObjectReference{Namespace: about.GetNamespace(), Name: about.GetName(), UID: about.GetUID(), ResourceVersion: about.GetResourceVersion()}
	switch about.(type) {
	case *corev1.Service:
		regarding.APIVersion, regarding.Kind = "v1", "Service"
	case *networkingv1.IPAddress:
		regarding.APIVersion, regarding.Kind = "networking.k8s.io/v1", "IPAddress"
	}
	namespace := about.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	now := metav1.NowMicro()
	_, err := r.set.EventsV1().Events(namespace).Create(ctx, &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", about.GetName(), now.UnixNano()), Namespace: namespace},
		EventTime:  now, ReportingController: repairer, ReportingInstance: repairer + "-0",
		Regarding: regarding, Reason: reason, Action: action, Note: note, Type: corev1.EventTypeWarning,
	}, metav1.CreateOptions{})
	klog.FromContext(ctx).Info("Repairing the allocation of cluster IPs", "reason", reason, "note", note, "eventErr", err)
}

func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
