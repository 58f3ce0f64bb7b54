package hpa

import (
	"context"
	"fmt"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/septet-io/septet/client"
)

// target is the scale subresource of what an autoscaler scales.
type target struct {
	scale    *autoscalingv1.Scale
	resource dynamic.ResourceInterface
}

// resourceOf returns the plural name of a kind.
func resourceOf(set *client.Set, apiVersion, kind string) (schema.GroupVersionResource, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return schema.GroupVersionResource{}, fmt.Errorf("invalid API version in scale target reference: %w", err)
	}
	list, err := set.Discovery().ServerResourcesForGroupVersion(apiVersion)
	if err != nil {
		return schema.GroupVersionResource{}, fmt.Errorf("unable to determine resource for scale target reference: %w", err)
	}
	for _, r := range list.APIResources {
		if r.Kind == kind && !strings.Contains(r.Name, "/") {
			return gv.WithResource(r.Name), nil
		}
	}
	return schema.GroupVersionResource{}, fmt.Errorf("unable to determine resource for scale target reference: no matches for kind %q in version %q", kind, apiVersion)
}

// open reads the scale of an autoscaler's target.
func open(ctx context.Context, set *client.Set, namespace string, ref autoscalingv2.CrossVersionObjectReference) (*target, error) {
	gvr, err := resourceOf(set, ref.APIVersion, ref.Kind)
	if err != nil {
		return nil, err
	}
	t := &target{resource: set.Dynamic.Resource(gvr).Namespace(namespace), scale: &autoscalingv1.Scale{}}
	found, err := t.resource.Get(ctx, ref.Name, metav1.GetOptions{}, "scale")
	if err != nil {
		return nil, err
	}
	return t, runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, t.scale)
}

// resize writes a new size.
func (t *target) resize(ctx context.Context, replicas int32) error {
	t.scale.Spec.Replicas = replicas
	t.scale.APIVersion, t.scale.Kind = autoscalingv1.SchemeGroupVersion.String(), "Scale"
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(t.scale)
	if err != nil {
		return err
	}
	_, err = t.resource.Update(ctx, &unstructured.Unstructured{Object: object}, metav1.UpdateOptions{}, "scale")
	return err
}
