package services

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// addresses are the ranges of cluster IPs.
type addresses struct {
	resources  *rest.Registry
	configured []netip.Prefix
}

var (
	ipAddresses  = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ipaddresses"}
	serviceCIDRs = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "servicecidrs"}
)

// managedBy labels the IPAddress objects that belong to Services.
const managedBy = "ipallocator.k8s.io"

// takeAddresses gives the Service an address a family, and takes those that it names.
func (t *taking) takeAddresses() {
	spec := &t.service.Spec
	if !needsAddress(t.service) {
		if headless(t.service) {
			spec.ClusterIPs = []string{corev1.ClusterIPNone}
		}
		return
	}
	t.new.service, t.new.addresses, t.new.ports = holdings(t.service).service, map[netip.Addr]bool{}, map[int32]bool{}
	for i, family := range spec.IPFamilies {
		if i < len(spec.ClusterIPs) {
			t.takeNamed(spec.ClusterIPs[i], family)
			continue
		}
		address, err := t.any(family)
		if err != nil {
			t.fail(field.NewPath("spec", "clusterIPs"), spec.ClusterIPs, err)
			return
		}
		t.new.addresses[address] = true
		spec.ClusterIPs = append(spec.ClusterIPs, address.String())
	}
	if len(spec.ClusterIPs) > 0 {
		spec.ClusterIP = spec.ClusterIPs[0]
	}
}

func (t *taking) takeNamed(ip string, family corev1.IPFamily) {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return // validation says so
	}
	if t.had.addresses[address] || familyOf(address) != family {
		return
	}
	held, err := t.takeOne(address)
	if err != nil {
		t.fail(field.NewPath("spec", "clusterIPs"), t.service.Spec.ClusterIPs, fmt.Errorf("failed to allocate IP %s: %w", ip, err))
		return
	}
	if !held { // else it is not this write's to give back: the Service may be there already
		t.new.addresses[address] = true
	}
}

// ranges are those of a family: the configured ones and the ServiceCIDR objects that are ready.
func (a *addresses) ranges(ctx context.Context, family corev1.IPFamily) []netip.Prefix {
	var all []netip.Prefix
	add := func(prefix netip.Prefix) {
		for _, known := range all {
			if known == prefix {
				return
			}
		}
		if familyOf(prefix.Addr()) == family {
			all = append(all, prefix.Masked())
		}
	}
	for _, prefix := range a.configured {
		add(prefix)
	}
	page, err := a.resources.Get(serviceCIDRs).Open().List(ctx, store.Query{ResourceVersion: "0"})
	if err != nil {
		klog.FromContext(ctx).Error(err, "ServiceCIDRs could not be read; only the configured ranges are used")
		return all
	}
	for _, item := range page.Items {
		cidr, ok := item.Object.(*networkingv1.ServiceCIDR)
		if !ok || cidr.DeletionTimestamp != nil || !readyCIDR(cidr) {
			continue
		}
		for _, text := range cidr.Spec.CIDRs {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				add(prefix)
			}
		}
	}
	return all
}

func readyCIDR(cidr *networkingv1.ServiceCIDR) bool {
	for _, condition := range cidr.Status.Conditions {
		if condition.Type == networkingv1.ServiceCIDRConditionReady {
			return condition.Status == metav1.ConditionTrue
		}
	}
	return true
}

// attempts is how often a random address is tried before the range is searched in order.
const attempts = 32

// give makes an address the Service's; a dry run only looks whether it could.
func (t *taking) give(address netip.Addr) error {
	if !t.dry {
		return t.a.addresses.create(t.ctx, address, t.service)
	}
	_, err := t.a.addresses.resources.Get(ipAddresses).Open().Get(t.ctx, store.Key{Name: address.String()}, "")
	switch {
	case err == nil:
		return apierrors.NewAlreadyExists(ipAddresses.GroupResource(), address.String())
	case apierrors.IsNotFound(err):
		return nil
	}
	return err
}

// any takes a free address, from the upper part of a range first: the lower part is for addresses that people choose.
func (t *taking) any(family corev1.IPFamily) (netip.Addr, error) {
	for _, prefix := range t.a.addresses.ranges(t.ctx, family) {
		size := sizeOf(prefix)
		reserved := reservedOf(size)
		for range attempts {
			if size <= reserved {
				break
			}
			address := nth(prefix, reserved+rand.Uint64N(size-reserved)+1)
			if err := t.give(address); !apierrors.IsAlreadyExists(err) {
				return address, err
			}
		}
		for i := range min(size, searchLimit) {
			address := nth(prefix, size-i)
			if err := t.give(address); !apierrors.IsAlreadyExists(err) {
				return address, err
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("failed to allocate a serviceIP: range is full")
}

// searchLimit bounds the search of a range that is nearly full.
const searchLimit = 1 << 16

// sizeOf is how many addresses of a range may be given away: not the first, nor, for IPv4, the last.
func sizeOf(prefix netip.Prefix) uint64 {
	host := min(prefix.Addr().BitLen()-prefix.Bits(), 62)
	size := uint64(1)<<host - 1
	if prefix.Addr().Is4() && size > 0 {
		size--
	}
	return size
}

// reservedOf is how many of the lowest addresses are kept for people's choice: a sixteenth, 16 to 256 (KEP-3070).
func reservedOf(size uint64) uint64 {
	if size < 16 {
		return 0
	}
	return min(max(16, size/16), 256)
}

// nth is the address at an offset in a range.
func nth(prefix netip.Prefix, offset uint64) netip.Addr {
	raw := prefix.Masked().Addr().AsSlice()
	for i := len(raw) - 1; i >= 0 && offset > 0; i-- {
		sum := uint64(raw[i]) + offset&0xff
		raw[i] = byte(sum)
		offset = offset>>8 + sum>>8
	}
	address, _ := netip.AddrFromSlice(raw) // the length is that of an address
	return address
}

// inside says whether an address lies in a range, and names the ranges of its family.
func (a *addresses) inside(ctx context.Context, address netip.Addr) (bool, string) {
	inside := false
	var texts []string
	for _, prefix := range a.ranges(ctx, familyOf(address)) {
		last := nth(prefix, sizeOf(prefix)+1)
		inside = inside || prefix.Contains(address) && address != prefix.Addr() && (address.Is6() || address != last)
		texts = append(texts, prefix.String())
	}
	return inside, strings.Join(texts, ",")
}

// takeOne takes a certain address. held says that the Service had it before: a crash may have left it so, or the Service is there.
func (t *taking) takeOne(address netip.Addr) (held bool, err error) {
	a := &t.a.addresses
	if inside, ranges := a.inside(t.ctx, address); !inside {
		return false, refusal(fmt.Sprintf("the provided IP (%s) is not in the valid range. The range of valid IPs is %s", address, ranges))
	}
	err = t.give(address)
	if apierrors.IsAlreadyExists(err) {
		if a.ownedBy(t.ctx, address, t.service) {
			return true, nil
		}
		return false, refusal("provided IP is already allocated")
	}
	return false, err
}

// ownedBy says whether an address is the Service's already.
func (a *addresses) ownedBy(ctx context.Context, address netip.Addr, service *corev1.Service) bool {
	item, err := a.resources.Get(ipAddresses).Open().Get(ctx, store.Key{Name: address.String()}, "")
	if err != nil {
		return false
	}
	object, ok := item.Object.(*networkingv1.IPAddress)
	if !ok {
		return false
	}
	ref := object.Spec.ParentRef
	return ref != nil && ref.Resource == "services" && ref.Namespace == service.Namespace && ref.Name == service.Name
}

func (a *addresses) create(ctx context.Context, address netip.Addr, service *corev1.Service) error {
	object := &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{
			Name: address.String(), UID: uuid.NewUUID(), CreationTimestamp: metav1.Now().Rfc3339Copy(), Generation: 1,
			Labels: map[string]string{networkingv1.LabelIPAddressFamily: string(familyOf(address)), networkingv1.LabelManagedBy: managedBy},
		},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{
			Resource: "services", Namespace: service.Namespace, Name: service.Name,
		}},
	}
	_, err := a.resources.Get(ipAddresses).Open().Create(ctx, store.Key{Name: object.Name}, resource.Object(object), 0)
	return err
}

// free gives an address back, if it still belongs to the Service ("namespace/name").
func (a *addresses) free(ctx context.Context, address netip.Addr, service string) error {
	check := func(current *store.Item) error {
		object, ok := current.Object.(*networkingv1.IPAddress)
		if !ok || object.Spec.ParentRef == nil || object.Spec.ParentRef.Namespace+"/"+object.Spec.ParentRef.Name != service {
			return errNotOurs
		}
		return nil
	}
	_, err := a.resources.Get(ipAddresses).Open().Delete(ctx, store.Key{Name: address.String()}, nil, check)
	if apierrors.IsNotFound(err) || err == errNotOurs {
		return nil
	}
	return err
}

const errNotOurs = refusal("the address belongs to another service")
