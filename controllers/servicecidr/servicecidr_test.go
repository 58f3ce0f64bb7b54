package servicecidr

import (
	"context"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/controltest"
)

func cidr(name string, prefixes ...string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: prefixes}}
}

func address(ip, managedBy string) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: ip, Labels: map[string]string{networkingv1.LabelManagedBy: managedBy}}}
}

func TestRemovable(t *testing.T) {
	t.Parallel()
	const allocator = "ipallocator.k8s.io"
	for _, test := range []struct {
		name      string
		others    []*networkingv1.ServiceCIDR
		addresses []*networkingv1.IPAddress
		want      bool
	}{
		{"no address", nil, nil, true},
		{"an address of a Service", nil, []*networkingv1.IPAddress{address("10.0.0.5", allocator)}, false},
		{"an address of somebody else", nil, []*networkingv1.IPAddress{address("10.0.0.5", "gateway")}, true},
		{"an address outside", nil, []*networkingv1.IPAddress{address("10.0.1.5", allocator)}, true},
		{"a wider range", []*networkingv1.ServiceCIDR{cidr("wide", "10.0.0.0/16", "fd00::/64")}, []*networkingv1.IPAddress{address("10.0.0.5", allocator)}, true},
		{"a narrower range with the address", []*networkingv1.ServiceCIDR{cidr("narrow", "10.0.0.0/29")}, []*networkingv1.IPAddress{address("10.0.0.5", allocator)}, true},
		{"a narrower range without it", []*networkingv1.ServiceCIDR{cidr("narrow", "10.0.0.0/29")}, []*networkingv1.IPAddress{address("10.0.0.9", allocator)}, false},
		{"the second family", []*networkingv1.ServiceCIDR{cidr("four", "10.0.0.0/16")}, []*networkingv1.IPAddress{address("fd00::5", allocator)}, false},
	} {
		goes := cidr("goes", "10.0.0.0/24", "fd00::/112")
		if got := Removable(goes, append(test.others, goes), test.addresses); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// TestARangeIsHeldByItsAddresses: ready while it serves, and not deleted before its last address is.
func TestARangeIsHeldByItsAddresses(t *testing.T) {
	t.Parallel()
	goes := cidr("goes", "10.0.0.0/24")
	long := metav1.Unix(1e9, 0) // so that the time for others to hear of it is over
	goes.DeletionTimestamp, goes.Finalizers = &long, []string{finalizer}
	w := controltest.New(t, cidr("stays", "10.1.0.0/24"), goes, address("10.0.0.5", "ipallocator.k8s.io"))
	w.Run(w.Must(New(w.Set)))
	ctx := context.Background()
	shows := func(name string, status metav1.ConditionStatus, reason, message string) {
		w.Eventually(func() string {
			got, err := w.NetworkingV1().ServiceCIDRs().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			c := apimeta.FindStatusCondition(got.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
			if c == nil || c.Status != status || c.Reason != reason || c.Message != message || !slices.Contains(got.Finalizers, finalizer) {
				return "not so: " + got.String()
			}
			return ""
		})
	}
	shows("stays", metav1.ConditionTrue, "", isReady)
	shows("goes", metav1.ConditionFalse, networkingv1.ServiceCIDRReasonTerminating, inUse)

	if err := w.NetworkingV1().IPAddresses().Delete(ctx, "10.0.0.5", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() string {
		got, err := w.NetworkingV1().ServiceCIDRs().Get(ctx, "goes", metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && !slices.Contains(got.Finalizers, finalizer) {
			return ""
		}
		return "the finalizer is still there"
	})
}
