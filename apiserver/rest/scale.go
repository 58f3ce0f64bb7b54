package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// scales is autoscaling/v1 Scale as a kind of its own, without storage: to read bodies and patches by.
var scales = New(resource.Define(resource.Definition[*autoscalingv1.Scale]{
	Group: "autoscaling", Version: "v1", Kind: "Scale", Plural: "scales", Scope: resource.Namespaced,
	Validate: func(_ *resource.Request, scale *autoscalingv1.Scale) field.ErrorList { return validateScale(scale) },
}), nil, nil)

func validateScale(scale *autoscalingv1.Scale) field.ErrorList {
	if scale.Spec.Replicas >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec", "replicas"), scale.Spec.Replicas, "must be greater than or equal to 0").WithOrigin("minimum")}
}

// scaleOf shows an object as a Scale.
func (r *Resource) scaleOf(obj resource.Object) *autoscalingv1.Scale {
	scale := &autoscalingv1.Scale{
		TypeMeta: metav1.TypeMeta{Kind: "Scale", APIVersion: "autoscaling/v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: obj.GetName(), Namespace: obj.GetNamespace(), UID: obj.GetUID(),
			ResourceVersion: obj.GetResourceVersion(), CreationTimestamp: obj.GetCreationTimestamp(),
		},
	}
	scale.Spec, scale.Status = r.Scale.Get(obj)
	return scale
}

// sendScale answers with an object's Scale.
func (r *Resource) sendScale(rw http.ResponseWriter, req *http.Request, item *store.Item) error {
	obj, err := r.outward(item.Object)
	if err != nil {
		return err
	}
	if err := r.Scale.Check(obj); err != nil {
		return err
	}
	return scales.sendItem(rw, req, http.StatusOK, &store.Item{Key: item.Key, Object: r.scaleOf(obj), Revision: item.Revision})
}

// getScale serves GET on the scale of an object.
func (r *Resource) getScale(rw http.ResponseWriter, req *http.Request, s *request.State) error {
	item, err := r.Open().Get(req.Context(), r.key(s), "")
	if err != nil {
		return err
	}
	return r.sendScale(rw, req, item)
}

// updateScale serves PUT on the scale of an object.
func (r *Resource) updateScale(rw http.ResponseWriter, req *http.Request, s *request.State) error {
	options, err := updateOptions(req)
	if err != nil {
		return err
	}
	format, err := request.BodyFormat(req, nil)
	if err != nil {
		return err
	}
	body, err := readBody(req)
	if err != nil {
		return err
	}
	decoded, err := scales.decode(body, format, strictnessOf(options.FieldValidation), s)
	if err != nil {
		return err
	}
	s.Requested(decoded)
	w := r.newWrite(s, "update", options.DryRun, options.FieldManager, options)
	return w.rescale(rw, req, func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		return decoded.DeepCopyObject().(*autoscalingv1.Scale), nil
	})
}

// patchScale serves PATCH on the scale of an object.
func (r *Resource) patchScale(rw http.ResponseWriter, req *http.Request, s *request.State) error {
	kind, err := r.patchType(req)
	if err != nil {
		return err
	}
	options, err := patchOptions(req, kind)
	if err != nil {
		return err
	}
	body, err := readBody(req)
	if err != nil {
		return err
	}
	s.Requested(json.RawMessage(body))
	w := r.newWrite(s, "patch", options.DryRun, options.FieldManager, options)
	if kind == types.ApplyYAMLPatchType {
		return w.applyScale(rw, req, body, options)
	}
	change, err := scales.newPatch(kind, body, strictnessOf(options.FieldValidation), s)
	if err != nil {
		return err
	}
	return w.rescale(rw, req, func(current *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		next, err := change(current)
		if err != nil {
			return nil, err
		}
		return next.(*autoscalingv1.Scale), nil
	})
}

// rescale is the loop of writes to a scale: next computes the wanted one.
func (w *write) rescale(rw http.ResponseWriter, req *http.Request, next func(current *autoscalingv1.Scale) (*autoscalingv1.Scale, error)) error {
	return w.storeScale(rw, req, func(ctx context.Context, current resource.Object) (resource.Object, error) {
		before := w.r.scaleOf(current)
		scale, err := next(before)
		if err != nil {
			return nil, err
		}
		if err := w.checkScale(ctx, scale, before); err != nil {
			return nil, err
		}
		changed := current.DeepCopyObject().(resource.Object)
		w.r.Scale.Set(changed, scale.Spec.Replicas)
		return w.r.track(current, changed, w.manager, w.subresource)
	})
}

// checkScale takes a scale through the checks of an update, and through admission.
func (w *write) checkScale(ctx context.Context, scale, before *autoscalingv1.Scale) error {
	if err := checkName(scale, w.key.Name); err != nil {
		return err
	}
	if err := scales.fixNamespace(scale, w.key.Namespace); err != nil {
		return err
	}
	if scale.UID != "" && scale.UID != before.UID {
		//lint:ignore ST1005 upstream's words
		return apierrors.NewConflict(w.r.GroupResource(), scale.Name, fmt.Errorf(
			"Precondition failed: UID in precondition: %v, UID in object meta: %v", scale.UID, before.UID))
	}
	if scale.ResourceVersion != "" && scale.ResourceVersion != before.ResourceVersion {
		return apierrors.NewConflict(w.r.GroupResource(), scale.Name, errors.New(optimisticLock))
	}
	a := w.attributes(admission.Update, scale, before)
	a.Kind = scales.GroupVersionKind
	if err := w.r.Env.Admission.Admit(ctx, a); err != nil {
		return err
	}
	w.changes = a.Changes()
	if errs := validateScale(scale); len(errs) > 0 {
		return apierrors.NewInvalid(scales.groupKind(), scale.Name, errs)
	}
	return w.r.Env.Admission.Validate(ctx, a)
}

// storeScale writes the object whose replicas changed, and answers with its Scale.
func (w *write) storeScale(rw http.ResponseWriter, req *http.Request, next func(ctx context.Context, current resource.Object) (resource.Object, error)) error {
	var last resource.Object
	item, changed, err := w.r.Open().Update(req.Context(), w.key, nil, false, func(current *store.Item) (resource.Object, time.Duration, error) {
		old, err := w.r.outward(current.Object)
		if err != nil {
			return nil, 0, err
		}
		old = typed(old, w.r)
		obj, err := next(req.Context(), old)
		if err != nil {
			return nil, 0, err
		}
		if w.r.Generation && w.r.layout.contentChanged(obj, old) {
			obj.SetGeneration(old.GetGeneration() + 1)
		}
		if errs := w.r.ValidateUpdate(w.Request, obj, old); len(errs) > 0 {
			return nil, 0, apierrors.NewInvalid(w.r.groupKind(), obj.GetName(), errs)
		}
		last = obj
		if w.DryRun {
			return nil, 0, errDry
		}
		inner, err := w.r.inward(obj)
		return inner, 0, err
	})
	if errors.Is(err, errDry) {
		return w.r.sendScale(rw, req, &store.Item{Key: w.key, Object: last})
	}
	if err != nil {
		return err
	}
	if changed {
		if w.r.Hooks.AfterUpdate != nil {
			w.r.Hooks.AfterUpdate(req.Context(), item.Object, last)
		}
		w.note(item, last.GetResourceVersion())
	}
	return w.r.sendScale(rw, req, item)
}

// applyScale applies a Scale as what it is: one field of the object that is scaled.
func (w *write) applyScale(rw http.ResponseWriter, req *http.Request, body []byte, options *metav1.PatchOptions) error {
	applied, err := scales.readApplied(w, body, strictnessOf(options.FieldValidation))
	if err != nil {
		return err
	}
	replicas, given, err := unstructured.NestedInt64(applied.Object, "spec", "replicas")
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	wanted := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": w.key.Name}}}
	wanted.SetGroupVersionKind(w.r.GroupVersionKind)
	if given {
		if w.r.layout.unstructured {
			w.r.Scale.Set(wanted, int32(replicas))
		} else {
			wanted.Object["spec"] = map[string]any{"replicas": replicas}
		}
	}
	force := options.Force != nil && *options.Force
	return w.storeScale(rw, req, func(ctx context.Context, current resource.Object) (resource.Object, error) {
		obj, err := w.applied(ctx, current, wanted, force)
		if err != nil {
			return nil, err
		}
		return obj, w.checkScale(ctx, w.r.scaleOf(obj), w.r.scaleOf(current))
	})
}
