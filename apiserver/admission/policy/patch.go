package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"google.golang.org/protobuf/types/known/structpb"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/cel/mutation"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/septet-io/septet/apiserver/admission/match"
)

// applied merges an apply configuration into the object, as server-side apply would, but without owners of fields.
func (m *mutator) applied(v *match.Version, result ref.Val) (runtime.Object, error) {
	object, ok := result.(*dynamic.ObjectVal)
	if !ok {
		return nil, fmt.Errorf("unsupported return type from ApplyConfiguration expression: %v", result.Type())
	}
	if err := object.CheckTypeNamesMatchFieldPathNames(); err != nil {
		return nil, fmt.Errorf("type mismatch: %w", err)
	}
	content, ok := object.Value().(map[string]any)
	if !ok {
		return nil, fmt.Errorf("invalid return type: %T", result)
	}
	merged, err := m.merge(v, &unstructured.Unstructured{Object: content})
	if err != nil {
		var status apierrors.APIStatus
		if errors.As(err, &status) {
			return nil, err
		}
		return nil, fmt.Errorf("error applying patch: %w", err)
	}
	return merged, nil
}

func (m *mutator) merge(v *match.Version, patch *unstructured.Unstructured) (runtime.Object, error) {
	r := m.world.Resources.All().Kind(v.As.Kind)
	if r == nil {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf(
			"Resource kind %s not found. There can be a delay between when CustomResourceDefinitions are created and when they are available.", v.As.Kind))
	}
	patch.SetGroupVersionKind(v.As.Kind)
	types, err := r.TypeConverter()
	if err != nil {
		return nil, err
	}
	wanted, err := types.ObjectToTyped(patch)
	if err != nil {
		return nil, fmt.Errorf("failed to convert patch object to typed object: %w", err)
	}
	if atomic := atomics(nil, wanted.Schema(), wanted.TypeRef(), wanted.AsValue()); len(atomic) > 0 {
		return nil, fmt.Errorf("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: %v", strings.Join(atomic, ", "))
	}
	live, err := types.ObjectToTyped(v.Object, typed.AllowDuplicates)
	if err != nil {
		return nil, fmt.Errorf("failed to convert original object to typed object: %w", err)
	}
	merged, err := live.Merge(wanted)
	if err != nil {
		return nil, fmt.Errorf("failed to merge patch: %w", err)
	}
	body, err := value.ToJSON(merged.AsValue())
	if err != nil {
		return nil, fmt.Errorf("failed to convert typed object to object: %w", err)
	}
	return m.world.Decode(v, body, false)
}

// atomics are the paths of what can only be replaced as a whole: who changes a part of it with an apply configuration would lose the
// rest without knowing.
func atomics(path fieldpath.Path, s *schema.Schema, of schema.TypeRef, v value.Value) []string {
	atom, ok := s.Resolve(of)
	if !ok {
		return nil
	}
	var found []string
	if v.IsMap() && atom.Map != nil {
		if atom.Map.ElementRelationship == schema.Atomic {
			found = append(found, path.String())
		}
		v.AsMap().Iterate(func(key string, inner value.Value) bool {
			inside := atom.Map.ElementType
			if f, known := atom.Map.FindField(key); known {
				inside = f.Type
			}
			found = append(found, atomics(append(path[:len(path):len(path)], fieldpath.PathElement{FieldName: &key}), s, inside, inner)...)
			return true
		})
	}
	if v.IsList() && atom.List != nil {
		if atom.List.ElementRelationship == schema.Atomic {
			found = append(found, path.String())
		}
		for i, list := 0, v.AsList(); i < list.Length(); i++ {
			found = append(found, atomics(append(path[:len(path):len(path)], fieldpath.PathElement{Index: &i}), s, atom.List.ElementType, list.At(i))...)
		}
	}
	return found
}

// patched applies the JSON patch that an expression computed. One whose test fails changes nothing.
func (m *mutator) patched(v *match.Version, result ref.Val) (runtime.Object, error) {
	patch, err := patchOf(result)
	if err != nil {
		return nil, err
	}
	next, err := m.world.Patched(v, patch, true)
	if errors.Is(err, jsonpatch.ErrTestFailed) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("JSON Patch: %w", err)
	}
	return next, nil
}

// patchOf reads a list of JSONPatch values.
func patchOf(result ref.Val) (jsonpatch.Patch, error) {
	list, ok := result.(traits.Lister)
	if !ok {
		return nil, errors.New("type mismatch: JSONPatchType.expression should evaluate to array")
	}
	var patch jsonpatch.Patch
	for it := list.Iterator(); it.HasNext() == types.True; {
		native, err := it.Next().ConvertToNative(reflect.TypeFor[*mutation.JSONPatchVal]())
		if err != nil {
			return nil, fmt.Errorf("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch: %w", err)
		}
		step, ok := native.(*mutation.JSONPatchVal)
		if !ok {
			return nil, fmt.Errorf("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch, got element of %T", native)
		}
		operation, err := operationOf(step)
		if err != nil {
			return nil, err
		}
		patch = append(patch, operation)
	}
	return patch, nil
}

func operationOf(step *mutation.JSONPatchVal) (jsonpatch.Operation, error) {
	operation := jsonpatch.Operation{}
	put := func(key string, text []byte) {
		raw := json.RawMessage(text)
		operation[key] = &raw
	}
	put("op", strconv.AppendQuote(nil, step.Op))
	path, err := json.Marshal(step.Path)
	if err != nil {
		return nil, err
	}
	put("path", path)
	if step.From != "" {
		from, err := json.Marshal(step.From)
		if err != nil {
			return nil, err
		}
		put("from", from)
	}
	if step.Val == nil {
		return operation, nil
	}
	if object, ok := step.Val.(*dynamic.ObjectVal); ok {
		if err := object.CheckTypeNamesMatchFieldPathNames(); err != nil {
			return nil, fmt.Errorf("type mismatch: %w", err)
		}
	}
	const unmarshalable = "JSONPath valueExpression evaluated to a type that could not marshal to JSON: %w"
	native, err := step.Val.ConvertToNative(reflect.TypeFor[*structpb.Value]())
	if err != nil {
		return nil, fmt.Errorf(unmarshalable, err)
	}
	body, err := json.Marshal(native)
	if err != nil {
		return nil, fmt.Errorf(unmarshalable, err)
	}
	put("value", body)
	return operation, nil
}
