// Package nodeipam gives each Node a range of Pod addresses, cut from the cluster's.
package nodeipam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Range is a part of the cluster's addresses and the size of what a Node gets of it.
type Range struct {
	Cluster  netip.Prefix
	NodeBits int
}

type controller struct {
	client *client.Set
	nodes  cache.SharedIndexInformer
	events record.EventRecorder
	ranges []Range
	// avoid are ranges of others, such as those of Services, that no Node may get.
	avoid []netip.Prefix
	// taken are the ranges given away, by Node. There is one worker, so it needs no lock.
	taken map[netip.Prefix]string
}

// New returns the controller. It has one worker: giving away ranges is a matter of one at a time.
func New(set *client.Set, events record.EventRecorder, ranges []Range, avoid []netip.Prefix) (reconcile.Controller, error) {
	for _, r := range ranges {
		if r.NodeBits < r.Cluster.Bits() || r.NodeBits > r.Cluster.Addr().BitLen() {
			return reconcile.Controller{}, fmt.Errorf("node ranges of /%d do not fit into the cluster's %s", r.NodeBits, r.Cluster)
		}
	}
	c := &controller{
		client: set, nodes: set.Informers.Core().V1().Nodes().Informer(), events: events, ranges: ranges, avoid: avoid, taken: map[netip.Prefix]string{},
	}
	return reconcile.Controller{
		Name: "node-ipam-controller", Kind: "Node", Workers: 1,
		Watches:   []reconcile.Watch{{Informer: c.nodes, Keys: reconcile.Of(c.wantsRange)}},
		Reconcile: c.reconcile,
	}, nil
}

// wantsRange wakes the controller for Nodes that come, go, or have a new range. Those that found none get what a Node
// leaves behind, instead of waiting for their next try.
func (c *controller) wantsRange(old, node *corev1.Node) []reconcile.Key {
	if old != nil && node != nil && old.Spec.PodCIDR == node.Spec.PodCIDR && node.Spec.PodCIDR != "" {
		return nil
	}
	if node != nil {
		return []reconcile.Key{{Name: node.Name}}
	}
	keys := []reconcile.Key{{Name: old.Name}}
	for _, other := range index.All[*corev1.Node](c.nodes) {
		if other.Spec.PodCIDR == "" {
			keys = append(keys, reconcile.Key{Name: other.Name})
		}
	}
	return keys
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	node, found := index.Get[*corev1.Node](c.nodes, "", key.Name)
	if !found {
		for prefix, owner := range c.taken {
			if owner == key.Name {
				delete(c.taken, prefix)
			}
		}
		return reconcile.Result{}, nil
	}
	if len(node.Spec.PodCIDRs) > 0 {
		c.remember(node)
		return reconcile.Result{}, nil
	}
	if node.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	for _, other := range index.All[*corev1.Node](c.nodes) { // after a restart, others have not come by yet
		c.remember(other)
	}
	given, err := c.choose(node.Name)
	if err != nil {
		c.events.Eventf(node, corev1.EventTypeNormal, "CIDRNotAvailable", "Node %s status is now: CIDRNotAvailable", node.Name)
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, c.assign(ctx, node, given)
}

func (c *controller) remember(node *corev1.Node) {
	for _, text := range node.Spec.PodCIDRs {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			c.taken[prefix] = node.Name
		}
	}
}

// choose returns one free range of each family, the lowest, and marks them as the Node's.
func (c *controller) choose(node string) ([]string, error) {
	var given []string
	for _, r := range c.ranges {
		prefix, ok := c.free(r, node)
		if !ok {
			return nil, errors.New("CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range")
		}
		c.taken[prefix] = node
		given = append(given, prefix.String())
	}
	return given, nil
}

func (c *controller) free(r Range, node string) (netip.Prefix, bool) {
	for address := r.Cluster.Masked().Addr(); r.Cluster.Contains(address); {
		prefix := netip.PrefixFrom(address, r.NodeBits)
		if owner, taken := c.taken[prefix]; (!taken || owner == node) && !c.overlaps(prefix) {
			return prefix, true
		}
		next, ok := after(prefix)
		if !ok {
			break
		}
		address = next
	}
	return netip.Prefix{}, false
}

func (c *controller) overlaps(prefix netip.Prefix) bool {
	for _, other := range c.avoid {
		if other.Overlaps(prefix) {
			return true
		}
	}
	return false
}

// after is the first address behind a range; false at the end of all addresses.
func after(prefix netip.Prefix) (netip.Addr, bool) {
	raw := prefix.Masked().Addr().AsSlice()
	if prefix.Bits() == 0 {
		return netip.Addr{}, false
	}
	carry := uint16(1) << ((8 - prefix.Bits()%8) % 8)
	for i := (prefix.Bits() - 1) / 8; i >= 0 && carry > 0; i-- {
		sum := uint16(raw[i]) + carry
		raw[i], carry = byte(sum), sum>>8
	}
	address, ok := netip.AddrFromSlice(raw)
	return address, ok && carry == 0
}

// assign writes the ranges. They can be set once only, so a Node that has some by now keeps them.
func (c *controller) assign(ctx context.Context, node *corev1.Node, given []string) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"podCIDR": given[0], "podCIDRs": given}})
	if err != nil {
		return err
	}
	updated, err := c.client.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return err
	}
	reconcile.Note(ctx, journal.Record{
		Step: "assign pod range", Kind: "Node", Name: node.Name, UID: node.UID, Made: updated.ResourceVersion, Note: given[0],
	})
	return nil
}
