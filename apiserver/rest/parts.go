package rest

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"

	"github.com/septet-io/septet/resource"
)

// Most patches touch one part of an object: its metadata, its spec or its status. Only the parts that a patch names are turned into
// generic values and back; the rest is copied. Managed fields, the bulk of metadata, stay out of it unless they are meant.

// errWhole says that a patch must be applied to the whole object: for those that are wrong, so that the error is the usual one.
var errWhole = errors.New("the patch needs the whole object")

// part is what merges the patch of one part: before and the result are pointers to the part's Go type.
type part func(key string, before any, change map[string]any) (after reflect.Value, strict []error, err error)

// patchParts applies a patch part by part. It returns a new object and the strict errors found.
func (r *Resource) patchParts(current resource.Object, content map[string]any, merge part) (resource.Object, []error, error) {
	obj := current.DeepCopyObject().(resource.Object)
	v := reflect.ValueOf(obj).Elem()
	var found []error
	for key, value := range content {
		index, known := r.layout.parts[key]
		change, isMap := value.(map[string]any)
		if !known || !isMap {
			return nil, nil, errWhole
		}
		field := v.Field(index)
		kept, keep := withoutManaged(obj, key, change)
		after, strict, err := merge(key, field.Addr().Interface(), change)
		if err != nil {
			return nil, nil, err
		}
		for _, err := range strict {
			found = append(found, errors.New(strings.Replace(err.Error(), ` field "`, ` field "`+key+".", 1)))
		}
		field.Set(after.Elem())
		if keep {
			obj.SetManagedFields(kept)
		}
	}
	return obj, found, nil
}

// withoutManaged takes managed fields out of obj if the patch of its metadata does not name them.
func withoutManaged(obj resource.Object, key string, change map[string]any) ([]metav1.ManagedFieldsEntry, bool) {
	if _, named := change["managedFields"]; key != "metadata" || named {
		return nil, false
	}
	kept := obj.GetManagedFields()
	obj.SetManagedFields(nil)
	return kept, true
}

// mergePart is RFC 7386 on one part.
func mergePart(_ string, before any, change map[string]any) (reflect.Value, []error, error) {
	old, err := json.Marshal(before)
	if err != nil {
		return reflect.Value{}, nil, err
	}
	patch, err := json.Marshal(change)
	if err != nil {
		return reflect.Value{}, nil, err
	}
	merged, err := jsonpatch.MergePatch(old, patch)
	if err != nil {
		return reflect.Value{}, nil, errWhole
	}
	after := reflect.New(reflect.TypeOf(before).Elem())
	strict, err := kjson.UnmarshalStrict(merged, after.Interface())
	if err != nil {
		return reflect.Value{}, nil, errWhole
	}
	return after, strict, nil
}

// strategicPart merges lists by their keys, as the Go types say.
func (r *Resource) strategicPart(rules strategicpatch.PatchMetaFromStruct) part {
	return func(key string, before any, change map[string]any) (reflect.Value, []error, error) {
		below, _, err := rules.LookupPatchMetadataForStruct(key)
		if err != nil {
			return reflect.Value{}, nil, errWhole
		}
		old, err := runtime.DefaultUnstructuredConverter.ToUnstructured(before)
		if err != nil {
			return reflect.Value{}, nil, err
		}
		merged, err := strategicpatch.StrategicMergeMapPatchUsingLookupPatchMeta(old, runtime.DeepCopyJSON(change), below)
		if err != nil {
			return reflect.Value{}, nil, errWhole
		}
		after := reflect.New(reflect.TypeOf(before).Elem())
		err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(merged, after.Interface(), true)
		if unknown, isStrict := runtime.AsStrictDecodingError(err); isStrict {
			return after, unknown.Errors(), nil
		}
		if err != nil {
			return reflect.Value{}, nil, errWhole
		}
		return after, nil, nil
	}
}
