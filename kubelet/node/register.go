package node

import (
	"context"
	"encoding/json"
	"maps"
	goruntime "runtime"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/klog/v2"
)

// Annotations that a node sets of itself.
const (
	annotationAttach = "volumes.kubernetes.io/controller-managed-attach-detach"
	annotationIP     = "alpha.kubernetes.io/provided-node-ip"
)

// register makes the Node, or brings what this node says of itself into one that
// is there; it tries until that succeeds or ctx ends.
func (n *Node) register(ctx context.Context) {
	wait := 50 * time.Millisecond
	for ctx.Err() == nil {
		node, err := n.tryRegister(ctx)
		if err == nil {
			if node != nil {
				n.saw(ctx, node)
			}
			return
		}
		klog.FromContext(ctx).V(1).Info("Could not register the node, trying again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

func (n *Node) tryRegister(ctx context.Context) (*v1.Node, error) {
	nodes := n.config.Client.CoreV1().Nodes()
	if !n.config.Register {
		return nil, nil
	}
	wanted := n.initial()
	created, err := nodes.Create(ctx, wanted, metav1.CreateOptions{})
	if err == nil {
		n.tell(&v1.NodeStatus{}, &created.Status)
		return created, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	found, err := nodes.Get(ctx, n.config.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return n.reconcile(ctx, found, wanted)
}

// initial is the Node as it is made.
func (n *Node) initial() *v1.Node {
	node := &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.config.Name, Labels: n.labels(), Annotations: map[string]string{annotationAttach: "true"}},
		Spec:       v1.NodeSpec{ProviderID: n.config.ProviderID, Taints: append([]v1.Taint(nil), n.config.Taints...)},
	}
	if n.config.CloudExternal {
		node.Spec.Taints = append(node.Spec.Taints, v1.Taint{Key: taintUninitialized, Value: "true", Effect: v1.TaintEffectNoSchedule})
		if len(n.config.IPs) > 0 {
			ips := n.config.IPs[0].String()
			for _, ip := range n.config.IPs[1:] {
				ips += "," + ip.String()
			}
			node.Annotations[annotationIP] = ips
		}
	}
	node.Status = *n.status(&v1.NodeStatus{})
	return node
}

func (n *Node) labels() map[string]string {
	labels := map[string]string{
		v1.LabelHostname:          n.config.Hostname,
		v1.LabelOSStable:          goruntime.GOOS,
		v1.LabelArchStable:        goruntime.GOARCH,
		"beta.kubernetes.io/os":   goruntime.GOOS,
		"beta.kubernetes.io/arch": goruntime.GOARCH,
	}
	maps.Copy(labels, n.config.Labels)
	return labels
}

// reconcile brings the labels and annotations that are this node's own into a Node
// that was there before it. Taints it leaves: they may have been removed for good.
func (n *Node) reconcile(ctx context.Context, found, wanted *v1.Node) (*v1.Node, error) {
	next := found.DeepCopy()
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	maps.Copy(next.Labels, wanted.Labels)
	maps.Copy(next.Annotations, wanted.Annotations)
	if next.Spec.ProviderID == "" {
		next.Spec.ProviderID = wanted.Spec.ProviderID
	}
	before, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(next)
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, v1.Node{})
	if err != nil || string(patch) == "{}" {
		return found, err
	}
	return n.config.Client.CoreV1().Nodes().Patch(ctx, n.config.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
}
