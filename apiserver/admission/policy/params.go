package policy

import (
	"context"
	"errors"
	"fmt"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
)

// param is a parameter as unstructured content. A nil content is null.
type param struct {
	key     store.Key
	content map[string]any
}

// none is what expressions get as params where there are none.
var none = []param{{}}

// kindOfParams finds the resource of a policy's parameters, nil if it has none.
func (s *set) kindOfParams(p *policy) (*rest.Resource, error) {
	if p.broken != nil || p.params == nil {
		return nil, p.broken
	}
	r := s.world.Resources.All().Kind(*p.params)
	if r == nil || !r.Stored() {
		return nil, fmt.Errorf("failed to find resource referenced by paramKind: '%v'", *p.params)
	}
	return r, nil
}

// params finds the parameters that a binding names. None at all, without an error, means that the policy does not run with it.
func (s *set) params(ctx context.Context, r *rest.Resource, b *binding, namespace string) ([]param, error) {
	ref := b.params
	if r == nil || ref == nil {
		return none, nil
	}
	query := store.Query{ResourceVersion: "0"}
	switch {
	case !r.Namespaced() && ref.Namespace != "":
		return nil, errors.New("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
	case !r.Namespaced():
	case ref.Namespace != "":
		query.Namespace = ref.Namespace
	case namespace == "":
		return nil, errors.New("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
	default:
		query.Namespace = namespace
	}
	found, err := find(ctx, r, ref, query)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && ref.ParameterNotFoundAction != nil && *ref.ParameterNotFoundAction == registrationv1.DenyAction {
		return nil, errors.New("no params found for policy binding with `Deny` parameterNotFoundAction")
	}
	return found, nil
}

func find(ctx context.Context, r *rest.Resource, ref *registrationv1.ParamRef, query store.Query) ([]param, error) {
	if ref.Name != "" {
		key := store.Key{Namespace: query.Namespace, Name: ref.Name}
		item, err := r.Open().Get(ctx, key, "0")
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return shown(r, item)
	}
	selector, err := metav1.LabelSelectorAsSelector(ref.Selector)
	if err != nil {
		return nil, err
	}
	query.Labels = selector
	page, err := r.Open().List(ctx, query)
	if err != nil {
		return nil, err
	}
	return shown(r, page.Items...)
}

// shown makes parameters of objects, with kind and apiVersion, which built-in ones lack in storage.
func shown(r *rest.Resource, items ...*store.Item) ([]param, error) {
	var all []param
	for _, item := range items {
		obj, err := r.Served(item)
		if err != nil {
			return nil, err
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
		if err != nil {
			return nil, err
		}
		content["apiVersion"], content["kind"] = r.GroupVersionKind.GroupVersion().String(), r.GroupVersionKind.Kind
		all = append(all, param{item.Key, content})
	}
	return all, nil
}
