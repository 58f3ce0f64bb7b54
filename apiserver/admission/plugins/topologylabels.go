package plugins

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/admission"
)

// topologyLabels say where a node is.
var topologyLabels = []string{corev1.LabelTopologyZone, corev1.LabelTopologyRegion}

// podTopologyLabels tells Pods where they run, by the labels of the node that they are bound to: the downward API passes them
// on to containers. https://kep.k8s.io/4742
func podTopologyLabels(env *Env) (admission.Plugin, error) {
	lister := env.Set.Informers.Core().V1().Nodes().Lister()
	label := func(ctx context.Context, a *admission.Attributes, name string, meta *metav1.ObjectMeta) error {
		node, err := lister.Get(name)
		if apierrors.IsNotFound(err) && named(name) {
			node, err = env.Set.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		}
		if apierrors.IsNotFound(err) {
			return nil // a Pod may be bound to a node that comes later
		}
		if err != nil {
			return err
		}
		for _, key := range topologyLabels {
			if value, found := node.Labels[key]; found {
				metav1.SetMetaDataLabel(meta, key, value)
				a.Changed("label %s", key)
			}
		}
		return nil
	}
	admit := func(ctx context.Context, a *admission.Attributes) error {
		switch object := a.Object.(type) {
		case *corev1.Binding:
			if is(a, "", "pods", "binding") || is(a, "", "bindings", "") {
				return label(ctx, a, object.Target.Name, &object.ObjectMeta)
			}
		case *corev1.Pod:
			if is(a, "", "pods", "") && object.Spec.NodeName != "" {
				return label(ctx, a, object.Spec.NodeName, &object.ObjectMeta)
			}
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create}, Admit: admit}, nil
}
