package crd

import (
	"fmt"
	"math"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

// steps are the fields along a path as definitions write it: ".spec.replicas".
func steps(path string) []string { return strings.Split(strings.TrimPrefix(path, "."), ".") }

// scaleOf shows a custom resource as a Scale by the paths of its definition.
func scaleOf(paths *apiextensionsv1.CustomResourceSubresourceScale) *resource.Scale[*unstructured.Unstructured] {
	if paths == nil {
		return nil
	}
	wanted := steps(paths.SpecReplicasPath)
	return &resource.Scale[*unstructured.Unstructured]{
		Get: func(obj *unstructured.Unstructured) (spec autoscalingv1.ScaleSpec, status autoscalingv1.ScaleStatus) {
			// Values of other types show as none; validation does not let them in.
			replicas, _, _ := unstructured.NestedInt64(obj.Object, wanted...)
			spec.Replicas = int32(replicas)
			replicas, _, _ = unstructured.NestedInt64(obj.Object, steps(paths.StatusReplicasPath)...)
			status.Replicas = int32(replicas)
			if paths.LabelSelectorPath != nil && *paths.LabelSelectorPath != "" {
				status.Selector, _, _ = unstructured.NestedString(obj.Object, steps(*paths.LabelSelectorPath)...)
			}
			return spec, status
		},
		Set: func(obj *unstructured.Unstructured, replicas int32) {
			if obj.Object == nil {
				obj.Object = map[string]any{}
			}
			if err := unstructured.SetNestedField(obj.Object, int64(replicas), wanted...); err != nil {
				// Something on the way is no object; it is replaced.
				unstructured.RemoveNestedField(obj.Object, wanted[0])
				_ = unstructured.SetNestedField(obj.Object, int64(replicas), wanted...)
			}
		},
		Check: func(obj *unstructured.Unstructured) error {
			if _, found, err := unstructured.NestedInt64(obj.Object, wanted...); err != nil {
				return apierrors.NewInternalError(err)
			} else if !found {
				return apierrors.NewInternalError(fmt.Errorf("the spec replicas field %q does not exist", paths.SpecReplicasPath))
			}
			return nil
		},
	}
}

// scaleErrors checks the fields that a Scale shows.
func (c *rules) scaleErrors(obj *unstructured.Unstructured) field.ErrorList {
	if c.scale == nil {
		return nil
	}
	return append(replicaErrors(obj, c.scale.SpecReplicasPath), c.scaleStatusErrors(obj)...)
}

func (c *rules) scaleStatusErrors(obj *unstructured.Unstructured) field.ErrorList {
	errs := replicaErrors(obj, c.scale.StatusReplicasPath)
	if path := c.scale.LabelSelectorPath; path != nil {
		if selector, _, err := unstructured.NestedString(obj.Object, steps(*path)...); err != nil {
			errs = append(errs, field.Invalid(field.NewPath(*path), selector, err.Error()))
		}
	}
	return errs
}

func replicaErrors(obj *unstructured.Unstructured, path string) field.ErrorList {
	at := field.NewPath(path)
	switch replicas, _, err := unstructured.NestedInt64(obj.Object, steps(path)...); {
	case err != nil:
		return field.ErrorList{field.Invalid(at, replicas, err.Error())}
	case replicas < 0:
		return field.ErrorList{field.Invalid(at, replicas, "should be a non-negative integer")}
	case replicas > math.MaxInt32:
		return field.ErrorList{field.Invalid(at, replicas, fmt.Sprintf("should be less than or equal to %v", math.MaxInt32))}
	}
	return nil
}
