// Package servicecidr says which ServiceCIDRs are ready to give addresses to Services, and holds one that is being deleted until no
// Service would be left with an address that is in no range (KEP-1880).
package servicecidr

import (
	"context"
	"net/netip"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1apply "k8s.io/client-go/applyconfigurations/networking/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

const (
	name = "service-cidr-controller"
	// finalizer holds a range while addresses depend on it.
	finalizer = "networking.k8s.io/service-cidr-finalizer"
	// grace is how long a range that could go still stays: API servers that have not heard of its deletion may yet give
	// addresses out of it.
	grace = 10 * time.Second

	inUse   = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
	isReady = "Kubernetes Service CIDR is ready"
)

type controller struct {
	client           *client.Set
	cidrs, addresses cache.SharedIndexInformer
}

// New returns the controller. Its keys are ServiceCIDRs.
func New(set *client.Set) (reconcile.Controller, error) {
	networking := set.Informers.Networking().V1()
	c := &controller{client: set, cidrs: networking.ServiceCIDRs().Informer(), addresses: networking.IPAddresses().Informer()}
	return reconcile.Controller{
		Name: name, Queue: "servicecidrs", Kind: "ServiceCIDR", Workers: 5,
		Watches: []reconcile.Watch{
			{Informer: c.cidrs, Keys: reconcile.Of(c.overlapping)},
			{Informer: c.addresses, Keys: reconcile.Of(c.containing)},
		},
		Reconcile: c.reconcile,
	}, nil
}

// overlapping are the range itself and those that it may relieve of addresses, or leave alone with them.
func (c *controller) overlapping(old, cidr *networkingv1.ServiceCIDR) []reconcile.Key {
	if cidr == nil {
		cidr = old
	}
	keys := []reconcile.Key{{Name: cidr.Name}}
	for _, other := range index.All[*networkingv1.ServiceCIDR](c.cidrs) {
		if other.Name != cidr.Name && overlap(other, cidr) {
			keys = append(keys, reconcile.Key{Name: other.Name})
		}
	}
	return keys
}

// containing are the ranges of an address that has come or gone.
func (c *controller) containing(old, address *networkingv1.IPAddress) []reconcile.Key {
	if old != nil && address != nil {
		return nil
	}
	if address == nil {
		address = old
	}
	ip, ok := ofService(address)
	if !ok {
		return nil
	}
	var keys []reconcile.Key
	for _, cidr := range index.All[*networkingv1.ServiceCIDR](c.cidrs) {
		if contains(cidr, ip) {
			keys = append(keys, reconcile.Key{Name: cidr.Name})
		}
	}
	return keys
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	cidr, found := index.Get[*networkingv1.ServiceCIDR](c.cidrs, "", key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	if cidr.DeletionTimestamp == nil {
		return reconcile.Result{}, c.serve(ctx, cidr)
	}
	if !Removable(cidr, index.All[*networkingv1.ServiceCIDR](c.cidrs), index.All[*networkingv1.IPAddress](c.addresses)) {
		return reconcile.Result{}, c.tell(ctx, cidr, metav1.ConditionFalse, networkingv1.ServiceCIDRReasonTerminating, inUse)
	}
	if left := grace - time.Since(cidr.DeletionTimestamp.Time); left > 0 {
		return reconcile.Result{After: left}, nil
	}
	return reconcile.Result{}, c.finalizers(ctx, cidr, slices.DeleteFunc(slices.Clone(cidr.Finalizers), func(f string) bool { return f == finalizer }))
}

// serve holds a range, then says that it is ready.
func (c *controller) serve(ctx context.Context, cidr *networkingv1.ServiceCIDR) error {
	if !slices.Contains(cidr.Finalizers, finalizer) {
		if err := c.finalizers(ctx, cidr, append(slices.Clone(cidr.Finalizers), finalizer)); err != nil {
			return err
		}
	}
	return c.tell(ctx, cidr, metav1.ConditionTrue, "", isReady)
}

func (c *controller) finalizers(ctx context.Context, cidr *networkingv1.ServiceCIDR, want []string) error {
	if slices.Equal(cidr.Finalizers, want) {
		return nil
	}
	next := cidr.DeepCopy()
	next.Finalizers = want
	made, err := c.client.NetworkingV1().ServiceCIDRs().Update(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	reconcile.Note(ctx, journal.Record{Step: "update", Kind: "ServiceCIDR", Name: made.Name, UID: made.UID, Made: made.ResourceVersion, Note: "finalizers"})
	return nil
}

// tell sets the condition Ready.
func (c *controller) tell(ctx context.Context, cidr *networkingv1.ServiceCIDR, status metav1.ConditionStatus, reason, message string) error {
	has := apimeta.FindStatusCondition(cidr.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
	if has != nil && has.Status == status && has.Reason == reason && has.Message == message {
		return nil
	}
	condition := metav1apply.Condition().WithType(networkingv1.ServiceCIDRConditionReady).WithStatus(status).WithReason(reason).
		WithMessage(message).WithLastTransitionTime(metav1.Now())
	wanted := networkingv1apply.ServiceCIDR(cidr.Name).WithStatus(networkingv1apply.ServiceCIDRStatus().WithConditions(condition))
	made, err := c.client.NetworkingV1().ServiceCIDRs().ApplyStatus(ctx, wanted, metav1.ApplyOptions{FieldManager: name, Force: true})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	reconcile.Note(ctx, journal.Record{Step: "status", Kind: "ServiceCIDR", Name: made.Name, UID: made.UID, Made: made.ResourceVersion, Note: message})
	return nil
}

// ofService returns the address of an IPAddress that an API server has given to a Service.
func ofService(address *networkingv1.IPAddress) (netip.Addr, bool) {
	if address.Labels[networkingv1.LabelManagedBy] != "ipallocator.k8s.io" {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(address.Name)
	return ip, err == nil
}
