package csi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
)

// Drivers are those that have registered on this node. It is the plugin handler of type CSIPlugin.
type Drivers struct {
	NodeName string
	Client   kubernetes.Interface

	mu    sync.Mutex
	nodes map[string]*driver
}

type driver struct {
	*Node
	endpoint string
}

// PluginType is what CSI drivers register as.
const PluginType = "CSIPlugin"

// Get returns a driver; the error is upstream's if it has not registered.
func (d *Drivers) Get(name string) (*Node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if driver := d.nodes[name]; driver != nil {
		return driver.Node, nil
	}
	return nil, fmt.Errorf("driver name %s not found in the list of registered CSI drivers", name)
}

// Register takes a driver into use: it is asked how it knows this node, and the answer is put into the node's CSINode and labels.
func (d *Drivers) Register(ctx context.Context, name, endpoint string, versions []string) error {
	if !slices.ContainsFunc(versions, func(version string) bool { return strings.HasPrefix(strings.TrimPrefix(version, "v"), "1.") }) {
		return fmt.Errorf("CSI driver %s speaks %v, not 1.x", name, versions)
	}
	node, err := Dial(endpoint)
	if err != nil {
		return err
	}
	info, err := node.Info(ctx)
	if err == nil {
		err = d.publish(ctx, name, info)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("CSI driver %s: %w", name, err), node.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.nodes == nil {
		d.nodes = map[string]*driver{}
	}
	if old := d.nodes[name]; old != nil {
		err = old.Close()
	}
	d.nodes[name] = &driver{Node: node, endpoint: endpoint}
	return err
}

// Deregister forgets a driver whose socket is gone, unless a newer one has taken its place.
func (d *Drivers) Deregister(ctx context.Context, name, endpoint string) {
	d.mu.Lock()
	old := d.nodes[name]
	gone := old != nil && old.endpoint == endpoint
	if gone {
		delete(d.nodes, name)
	}
	d.mu.Unlock()
	if !gone {
		return
	}
	err := errors.Join(old.Close(), d.update(ctx, func(node *storagev1.CSINode) {
		node.Spec.Drivers = slices.DeleteFunc(node.Spec.Drivers, func(one storagev1.CSINodeDriver) bool { return one.Name == name })
	}))
	if err != nil {
		klog.FromContext(ctx).Error(err, "CSI driver could not be taken off the CSINode", "driver", name)
	}
}

// publish tells the API server about a driver on this node.
func (d *Drivers) publish(ctx context.Context, name string, info Info) error {
	entry := storagev1.CSINodeDriver{Name: name, NodeID: info.NodeID}
	for key := range info.Topology {
		entry.TopologyKeys = append(entry.TopologyKeys, key)
	}
	sort.Strings(entry.TopologyKeys)
	if info.MaxVolumes > 0 {
		count := int32(min(info.MaxVolumes, 1<<31-1))
		entry.Allocatable = &storagev1.VolumeNodeResources{Count: &count}
	}
	if err := d.label(ctx, info.Topology); err != nil {
		return err
	}
	return d.update(ctx, func(node *storagev1.CSINode) {
		node.Spec.Drivers = slices.DeleteFunc(node.Spec.Drivers, func(one storagev1.CSINodeDriver) bool { return one.Name == name })
		node.Spec.Drivers = append(node.Spec.Drivers, entry)
	})
}

// label puts the topology on the Node: the scheduler goes by it.
func (d *Drivers) label(ctx context.Context, topology map[string]string) error {
	if len(topology) == 0 {
		return nil
	}
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		node, err := d.Client.CoreV1().Nodes().Get(ctx, d.NodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		changed := node.DeepCopy()
		if changed.Labels == nil {
			changed.Labels = map[string]string{}
		}
		for key, value := range topology {
			changed.Labels[key] = value
		}
		_, err = d.Client.CoreV1().Nodes().Update(ctx, changed, metav1.UpdateOptions{})
		return err
	})
}

// update changes this node's CSINode, which it makes if there is none.
func (d *Drivers) update(ctx context.Context, change func(*storagev1.CSINode)) error {
	client := d.Client.StorageV1().CSINodes()
	return retry.OnError(retry.DefaultBackoff, func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }, func() error {
		node, err := client.Get(ctx, d.NodeName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			if node, err = d.fresh(ctx); err != nil {
				return err
			}
			change(node)
			_, err = client.Create(ctx, node, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		node = node.DeepCopy()
		change(node)
		_, err = client.Update(ctx, node, metav1.UpdateOptions{})
		return err
	})
}

// fresh is a CSINode that goes with its Node.
func (d *Drivers) fresh(ctx context.Context) (*storagev1.CSINode, error) {
	node, err := d.Client.CoreV1().Nodes().Get(ctx, d.NodeName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{
		Name:            d.NodeName,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node", Name: node.Name, UID: node.UID}},
	}}, nil
}
