package crd

import (
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// converter turns objects of other versions of a definition into those of one. The given objects are shared and stay as they are;
// the result has new ones, in the same order.
type converter interface {
	convert(objs []*unstructured.Unstructured, to schema.GroupVersion) ([]*unstructured.Unstructured, error)
}

// newConverter is the converter that a definition asks for.
func (d *Definitions) newConverter(crd *apiextensionsv1.CustomResourceDefinition, versions map[string]*version) (converter, error) {
	switch c := crd.Spec.Conversion; {
	case c == nil || c.Strategy == apiextensionsv1.NoneConverter:
		return rename{}, nil
	case c.Strategy == apiextensionsv1.WebhookConverter && c.Webhook != nil && c.Webhook.ClientConfig != nil:
		return d.newWebhook(crd)
	default:
		return nil, fmt.Errorf("definition %s: unknown conversion strategy %q", crd.Name, c.Strategy)
	}
}

// rename is the strategy None: only the apiVersion changes.
type rename struct{}

func (rename) convert(objs []*unstructured.Unstructured, to schema.GroupVersion) ([]*unstructured.Unstructured, error) {
	renamed := make([]*unstructured.Unstructured, len(objs))
	for i, obj := range objs {
		renamed[i] = obj.DeepCopy()
		renamed[i].SetAPIVersion(to.String())
	}
	return renamed, nil
}

// to returns objects of any version as objects of one. Those that are of it already are returned as they are.
func (s *stored) to(name string) func([]resource.Object) ([]resource.Object, error) {
	wanted := s.versions[name]
	to := wanted.gvk.GroupVersion()
	apiVersion := to.String()
	return func(objs []resource.Object) ([]resource.Object, error) {
		others, err := s.others(objs, apiVersion)
		if err != nil || len(others) == 0 {
			return objs, err
		}
		converted, err := s.convert.convert(others, to)
		if err != nil {
			return nil, err
		}
		all := make([]resource.Object, len(objs))
		next := 0
		for i, obj := range objs {
			all[i] = obj
			if obj.(*unstructured.Unstructured).GetAPIVersion() == apiVersion {
				continue
			}
			if _, err := wanted.coerce(converted[next], false); err != nil {
				return nil, err
			}
			all[i] = converted[next]
			next++
		}
		return all, nil
	}
}

// others are the objects that are not of a version yet. It is an error if one is of a version that the definition does not have.
func (s *stored) others(objs []resource.Object, apiVersion string) ([]*unstructured.Unstructured, error) {
	var others []*unstructured.Unstructured
	for _, obj := range objs {
		u, ok := obj.(*unstructured.Unstructured)
		if !ok {
			return nil, fmt.Errorf("%T is no custom resource", obj)
		}
		from := u.GetAPIVersion()
		if from == apiVersion {
			continue
		}
		if gv, err := schema.ParseGroupVersion(from); err != nil || gv.Group != s.kind.GroupVersionKind.Group || s.versions[gv.Version] == nil {
			return nil, fmt.Errorf("request to convert CR from an invalid group/version: %s", from)
		}
		others = append(others, u)
	}
	return others, nil
}
