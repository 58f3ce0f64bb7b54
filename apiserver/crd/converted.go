package crd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// post sends a JSON document and reads another one.
func (w *webhook) post(ctx context.Context, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	response, err := w.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxConverted+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxConverted:
		return fmt.Errorf("the answer has more than %d bytes", maxConverted)
	case response.StatusCode < 200 || response.StatusCode > 299:
		return fmt.Errorf("the server answered %s: %s", response.Status, short(text))
	}
	return json.Unmarshal(text, answer)
}

// short is what an error shows of an answer.
func short(text []byte) string {
	const most = 500
	if len(text) > most {
		text = text[:most]
	}
	return strings.TrimSpace(string(text))
}

// accepted says what is wrong with a converted object: it must be the same one in another version.
func accepted(original, converted *unstructured.Unstructured, to schema.GroupVersion) error {
	if gv := converted.GroupVersionKind().GroupVersion(); gv != to {
		return fmt.Errorf("invalid groupVersion (expected %v, received %v)", to, gv)
	}
	if was, is := original.GetKind(), converted.GetKind(); was != is {
		return fmt.Errorf("invalid kind (expected %v, received %v)", was, is)
	}
	if was, is := original.GetName(), converted.GetName(); was != is {
		return fmt.Errorf("must have the same name: %v != %v", was, is)
	}
	if was, is := original.GetNamespace(), converted.GetNamespace(); was != is {
		return fmt.Errorf("must have the same namespace: %v != %v", was, is)
	}
	if was, is := original.GetUID(), converted.GetUID(); was != is {
		return fmt.Errorf("must have the same UID: %v != %v", was, is)
	}
	return nil
}

// restoreMetadata keeps of a converted object's metadata no more than labels and annotations: the rest is not a webhook's to change.
func restoreMetadata(original, converted map[string]any) error {
	value, found := converted["metadata"]
	if !found {
		return errors.New("missing metadata in converted object")
	}
	returned, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("invalid metadata of type %T in converted object", value)
	}
	metadata, ok := original["metadata"].(map[string]any)
	if metadata = runtime.DeepCopyJSON(metadata); !ok {
		metadata = map[string]any{}
	}
	converted["metadata"] = metadata
	for _, name := range []string{"labels", "annotations"} {
		if err := restoreTexts(name, metadata, returned[name]); err != nil {
			return err
		}
	}
	return nil
}

// restoreTexts takes labels or annotations over from a converted object.
func restoreTexts(name string, metadata map[string]any, returned any) error {
	if returned == nil {
		delete(metadata, name)
		return nil
	}
	texts, ok := returned.(map[string]any)
	if !ok {
		return fmt.Errorf("invalid metadata.%s of type %T in converted object", name, returned)
	}
	former, _ := metadata[name].(map[string]any)
	changed := len(former) != len(texts)
	typed := make(map[string]string, len(texts))
	for key, value := range texts {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("metadata.%s[%s] must be a string, but is %T in converted object", name, key, value)
		}
		typed[key] = text
		changed = changed || former[key] != value
	}
	metadata[name] = texts
	if !changed {
		return nil
	}
	path := field.NewPath("metadata", name)
	if name == "labels" {
		return metavalidation.ValidateLabels(typed, path).ToAggregate()
	}
	return apivalidation.ValidateAnnotations(typed, path).ToAggregate()
}
