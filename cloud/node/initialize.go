// Package node lets the provider say what it knows of Nodes: it initializes new ones and removes those whose machine is gone.
package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/api"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/reconcile"
)

// providedIP is the annotation by which a kubelet says which of its addresses it was told to use (--node-ip).
const providedIP = api.AnnotationAlphaProvidedIPAddr

// Initializer returns the controller that fills in what the provider knows of a Node (provider ID, addresses, type, zone and
// region labels) and then removes the taint that kept Pods away. https://kubernetes.io/docs/concepts/architecture/cloud-controller/#node-controller
func Initializer(set *client.Set, instances cloudprovider.InstancesV2, events record.EventRecorder) reconcile.Controller {
	nodes := set.Informers.Core().V1().Nodes()
	c := &initializer{set: set, instances: instances, events: events}
	return reconcile.Controller{
		Name: "cloud-node-controller", Workers: 1,
		Watches: []reconcile.Watch{{Informer: nodes.Informer(), Keys: reconcile.Of(wantsInitializing)}},
		Reconcile: func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
			node, err := nodes.Lister().Get(key.Name)
			if apierrors.IsNotFound(err) {
				return reconcile.Result{}, nil
			}
			if err != nil {
				return reconcile.Result{}, err
			}
			return reconcile.Result{}, c.reconcile(ctx, node)
		},
	}
}

// wantsInitializing wakes the controller for new Nodes, tainted ones and those whose addresses another has changed.
func wantsInitializing(old, node *corev1.Node) []reconcile.Key {
	if node == nil {
		return nil
	}
	if old == nil || uninitialized(node) || !equality.Semantic.DeepEqual(old.Status.Addresses, node.Status.Addresses) {
		return []reconcile.Key{{Name: node.Name}}
	}
	return nil
}

type initializer struct {
	set       *client.Set
	instances cloudprovider.InstancesV2
	events    record.EventRecorder
}

func uninitialized(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == api.TaintExternalCloudProvider })
}

func (c *initializer) reconcile(ctx context.Context, node *corev1.Node) error {
	known, err := c.instances.InstanceMetadata(ctx, node)
	if errors.Is(err, cloudprovider.InstanceNotFound) && !uninitialized(node) {
		return nil // the lifecycle controller removes it
	}
	if err != nil {
		return fmt.Errorf("ask the provider about node %s: %w", node.Name, err)
	}
	addresses, err := addressesOf(node, known)
	if err != nil {
		return err
	}
	if !equality.Semantic.DeepEqual(node.Status.Addresses, addresses) {
		changed := node.DeepCopy()
		changed.Status.Addresses = addresses
		if node, err = c.set.CoreV1().Nodes().UpdateStatus(ctx, changed, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	if !uninitialized(node) {
		return nil
	}
	if _, err := c.set.CoreV1().Nodes().Update(ctx, Initialized(node, known), metav1.UpdateOptions{}); err != nil {
		return err
	}
	c.events.Event(node, corev1.EventTypeNormal, "Synced", "Node synced successfully")
	reconcile.Note(ctx, initialized(node, known))
	return nil
}

// Initialized returns the Node as it should be: with what the provider knows, without the taint. Labels that are
// set already stay as they are.
func Initialized(node *corev1.Node, known *cloudprovider.InstanceMetadata) *corev1.Node {
	node = node.DeepCopy()
	if node.Spec.ProviderID == "" {
		node.Spec.ProviderID = known.ProviderID
	}
	labels := maps.Clone(known.AdditionalLabels)
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range map[string]string{
		corev1.LabelInstanceTypeStable: known.InstanceType, corev1.LabelInstanceType: known.InstanceType,
		corev1.LabelTopologyZone: known.Zone, corev1.LabelFailureDomainBetaZone: known.Zone,
		corev1.LabelTopologyRegion: known.Region, corev1.LabelFailureDomainBetaRegion: known.Region,
	} {
		if value != "" {
			labels[key] = value
		}
	}
	maps.Copy(labels, node.Labels)
	node.Labels = labels
	node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == api.TaintExternalCloudProvider })
	return node
}

// addressesOf returns the provider's addresses with the one that the kubelet was told to use first in its kind.
// Host names that the kubelet set are kept, since the provider need not know them.
func addressesOf(node *corev1.Node, known *cloudprovider.InstanceMetadata) ([]corev1.NodeAddress, error) {
	addresses := slices.Clone(known.NodeAddresses)
	hasName := slices.ContainsFunc(addresses, func(a corev1.NodeAddress) bool { return a.Type == corev1.NodeHostName })
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeHostName && !hasName {
			addresses = append(addresses, address)
		}
	}
	wanted, told := node.Annotations[providedIP]
	if !told {
		return addresses, nil
	}
	i := slices.IndexFunc(addresses, func(a corev1.NodeAddress) bool { return a.Address == wanted })
	if i < 0 {
		return nil, fmt.Errorf("node %s: its kubelet uses the address %s, which the provider does not know", node.Name, wanted)
	}
	kind := addresses[i].Type
	sorted := []corev1.NodeAddress{addresses[i]}
	for j, address := range addresses {
		if j != i && address.Type != kind {
			sorted = append(sorted, address)
		}
	}
	return sorted, nil
}
