package core

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// Nodes is all that the server knows about Nodes.
func Nodes() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Node]{
		Version: "v1", Kind: "Node", Plural: "nodes",
		Short: []string{"no"}, StatusOnCreate: true,
		Scope:         resource.Cluster,
		StorageKey:    "minions",
		Views:         []resource.View[*corev1.Node]{{Name: "status", Validate: validateNodeUpdate, Prepare: prepareNodeStatus}},
		PrepareCreate: func(_ *resource.Request, node *corev1.Node) { node.Spec.ConfigSource, node.Status.Config = nil, nil },
		PrepareUpdate: prepareNode,
		Connectors: []resource.Connector{
			{Name: "proxy", Kind: schema.GroupVersionKind{Group: "", Version: "v1", Kind: "NodeProxyOptions"}, Verbs: []string{"create", "delete", "get", "patch", "update"}},
		},
		Default: defaultNode,
		Fields: []resource.Field[*corev1.Node]{
			{Name: "spec.unschedulable", Value: func(n *corev1.Node) string { return strconv.FormatBool(n.Spec.Unschedulable) }},
		},
		Columns:  nodeColumns(),
		Validate: validateNode, ValidateUpdate: validateNodeUpdate, Warn: warnNode,
	})
}

// prepareNode drops the source of a kubelet's configuration, a feature that is gone, but where it stood before.
func prepareNode(_ *resource.Request, node, old *corev1.Node) {
	if old.Spec.ConfigSource == nil {
		node.Spec.ConfigSource = nil
	}
}

// prepareNodeStatus lets kubelets report their status, with labels, and leaves the rest.
func prepareNodeStatus(_ *resource.Request, node, old *corev1.Node) {
	node.Spec = old.Spec
	if old.Status.Config == nil {
		node.Status.Config = nil
	}
}
