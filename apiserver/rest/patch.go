package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// maxOperations is how many operations a JSON patch may have, as upstream.
const maxOperations = 10000

// A patch may not copy an object into more than a body could hold; the library keeps this limit for the whole process.
func init() { jsonpatch.AccumulatedCopySizeLimit = MaxBody }

// patchTypes are the formats of patches, in the order in which errors list them.
var patchTypes = []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType}

// patchType reads the Content-Type of a patch; UnsupportedMediaType (415) for others. Custom resources have no strategic merge.
func (r *Resource) patchType(req *http.Request) (types.PatchType, error) {
	mediaType := req.Header.Get("Content-Type")
	if strings.Contains(mediaType, ";") {
		if parsed, _, err := mime.ParseMediaType(mediaType); err == nil {
			mediaType = parsed
		}
	}
	var accepted []string
	for _, t := range patchTypes {
		if t == types.StrategicMergePatchType && r.layout.unstructured {
			continue
		}
		if string(t) == mediaType {
			return t, nil
		}
		accepted = append(accepted, string(t))
	}
	return "", request.Unsupported(strings.Join(accepted, ", "))
}

// patch serves PATCH on an object or on one of its views.
func (r *Resource) patch(rw http.ResponseWriter, req *http.Request, s *request.State) error {
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
	w.view = r.View(s.Subresource)
	if kind == types.ApplyYAMLPatchType {
		return r.apply(rw, req, w, body, options)
	}
	change, err := r.newPatch(kind, body, strictnessOf(options.FieldValidation), s)
	if err != nil {
		return err
	}
	item, _, err := w.change(req.Context(), nil, false, func(current resource.Object) (resource.Object, error) {
		return w.patched(req.Context(), current, change)
	})
	if err != nil {
		return err
	}
	return r.sendItem(rw, req, http.StatusOK, item)
}

// patched applies a patch to the current object.
func (w *write) patched(ctx context.Context, current resource.Object, change patchFunc) (resource.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	}
	next, err := change(current)
	if err != nil {
		return nil, err
	}
	if err := checkName(next, w.key.Name); err != nil {
		return nil, err
	}
	if err := w.r.fixNamespace(next, w.key.Namespace); err != nil {
		return nil, err
	}
	w.r.Kind.Default(next)
	return w.track(current, next)
}

// patchFunc computes the patched object, a new one.
type patchFunc func(current resource.Object) (resource.Object, error)

// newPatch reads a patch once; what it returns may run several times.
func (r *Resource) newPatch(kind types.PatchType, body []byte, s strictness, state *request.State) (patchFunc, error) {
	switch kind {
	case types.JSONPatchType:
		return r.newJSONPatch(body, s, state)
	case types.MergePatchType:
		return r.newMergePatch(body, s, state)
	}
	return r.newStrategicPatch(body, s, state)
}

func (r *Resource) newJSONPatch(body []byte, s strictness, state *request.State) (patchFunc, error) {
	operations, err := jsonpatch.DecodePatch(body)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
	}
	if len(operations) > maxOperations {
		return nil, apierrors.NewRequestEntityTooLargeError(
			fmt.Sprintf("The allowed maximum operations in a JSON patch is %d, got %d", maxOperations, len(operations)))
	}
	var strict []error
	if s != metav1.FieldValidationIgnore {
		var content []any
		strict, err = kjson.UnmarshalStrict(body, &content)
		if err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
		}
		for i, err := range strict {
			strict[i] = fmt.Errorf("json patch %w", err)
		}
	}
	return func(current resource.Object) (resource.Object, error) {
		before, err := marshalJSON(r.GroupVersionKind, current)
		if err != nil {
			return nil, err
		}
		after, err := operations.Apply(before)
		if err != nil {
			return nil, unprocessable(err)
		}
		return r.reread(after, strict, s, state)
	}, nil
}

func unprocessable(err error) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
}

func (r *Resource) newMergePatch(body []byte, s strictness, state *request.State) (patchFunc, error) {
	var content map[string]any
	var strict []error
	var err error
	if s == metav1.FieldValidationIgnore {
		err = kjson.UnmarshalCaseSensitivePreserveInts(body, &content)
	} else {
		strict, err = kjson.UnmarshalStrict(body, &content)
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
	}
	return func(current resource.Object) (resource.Object, error) {
		if obj, err := r.patchedParts(current, content, strict, mergePart, s, state); !errors.Is(err, errWhole) {
			return obj, err
		}
		before, err := marshalJSON(r.GroupVersionKind, current)
		if err != nil {
			return nil, err
		}
		after, err := jsonpatch.MergePatch(before, body)
		if err != nil {
			return nil, unprocessable(err)
		}
		return r.reread(after, strict, s, state)
	}, nil
}

// patchedParts is patchParts with the strict errors of the patch and of its result reported as the client wants it.
func (r *Resource) patchedParts(current resource.Object, content map[string]any, strict []error, merge part, s strictness, state *request.State) (resource.Object, error) {
	if r.layout.unstructured {
		return nil, errWhole
	}
	obj, found, err := r.patchParts(current, content, merge)
	if err != nil {
		return nil, err
	}
	if err := s.check(state, append(strict[:len(strict):len(strict)], found...)); err != nil {
		return nil, invalidPatch(r, obj, err)
	}
	return obj, nil
}

// reread decodes a patched object; strict are the errors found in the patch itself.
func (r *Resource) reread(after []byte, strict []error, s strictness, state *request.State) (resource.Object, error) {
	if len(after) > MaxBody {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", MaxBody))
	}
	obj := r.New()
	_, found, err := unmarshalJSON(after, obj, s != metav1.FieldValidationIgnore)
	if err != nil {
		return nil, invalidResult(after, err)
	}
	dropped, err := r.Custom.coerce(obj, s)
	if err == nil {
		err = s.check(state, slices.Concat(strict, found, dropped))
	}
	if err != nil {
		return nil, invalidPatch(r, obj, err)
	}
	if gvk := obj.GetObjectKind().GroupVersionKind(); gvk != r.GroupVersionKind {
		return nil, invalidResult(after, fmt.Errorf("the patch changes the kind of the object to %s", gvk))
	}
	return obj, nil
}

// invalidResult says that what a patch made is no object of the kind. It names no object, as upstream.
func invalidResult(after []byte, err error) error {
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), string(after), err.Error())})
}

func invalidPatch(r *Resource, obj resource.Object, err error) error {
	if runtime.IsStrictDecodingError(err) {
		return apierrors.NewBadRequest(err.Error())
	}
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v",
		r.GroupVersionKind.Kind, r.GroupVersionKind.Version, r.GroupVersionKind.Kind, err))
}

func (r *Resource) newStrategicPatch(body []byte, s strictness, state *request.State) (patchFunc, error) {
	content := map[string]any{}
	var strict []error
	var err error
	if s == metav1.FieldValidationIgnore {
		err = kjson.UnmarshalCaseSensitivePreserveInts(body, &content)
	} else {
		strict, err = kjson.UnmarshalStrict(body, &content)
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	rules, err := strategicpatch.NewPatchMetaFromStruct(r.New())
	if err != nil {
		return nil, err
	}
	byPart := r.strategicPart(rules)
	return func(current resource.Object) (resource.Object, error) {
		if obj, err := r.patchedParts(current, content, strict, byPart, s, state); !errors.Is(err, errWhole) {
			return obj, err
		}
		before, err := runtime.DefaultUnstructuredConverter.ToUnstructured(current)
		if err != nil {
			return nil, err
		}
		after, err := strategicpatch.StrategicMergeMapPatchUsingLookupPatchMeta(before, runtime.DeepCopyJSON(content), rules)
		if err != nil {
			return nil, strategicError(err)
		}
		obj := r.New()
		err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(after, obj, s != metav1.FieldValidationIgnore)
		found := append([]error(nil), strict...)
		if unknown, isStrict := runtime.AsStrictDecodingError(err); isStrict {
			found, err = append(found, unknown.Errors()...), nil
		}
		if err == nil {
			err = s.check(state, found)
		}
		if err != nil {
			return nil, invalidTyped(r, obj, content, err)
		}
		obj.GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
		return obj, nil
	}, nil
}

// strategicError tells a patch that is not well formed from one that does not fit.
func strategicError(err error) error {
	switch {
	case errors.Is(err, mergepatch.ErrBadJSONDoc), errors.Is(err, mergepatch.ErrBadPatchFormatForPrimitiveList),
		errors.Is(err, mergepatch.ErrBadPatchFormatForRetainKeys), errors.Is(err, mergepatch.ErrBadPatchFormatForSetElementOrderList),
		errors.Is(err, mergepatch.ErrUnsupportedStrategicMergePatchFormat):
		return apierrors.NewBadRequest(err.Error())
	case errors.Is(err, mergepatch.ErrNoListOfLists), errors.Is(err, mergepatch.ErrBadPatchFormatForSetElementOrderList):
		return unprocessable(err)
	}
	return err
}

// invalidTyped is the answer to a patch whose values do not fit the kind's types.
func invalidTyped(r *Resource, obj resource.Object, content map[string]any, err error) error {
	if runtime.IsStrictDecodingError(err) {
		return apierrors.NewBadRequest(err.Error())
	}
	return apierrors.NewInvalid(schema.GroupKind{}, "", patchCause(content, err))
}
