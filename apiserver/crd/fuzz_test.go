package crd

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// versionOf is a version of a definition with a schema in JSON; nil if the schema has no structure.
func versionOf(schema string) *rules {
	props := &apiextensionsv1.JSONSchemaProps{}
	if json.Unmarshal([]byte(schema), props) != nil {
		return nil
	}
	s, err := structure(props)
	if err != nil || len(structuralschema.ValidateStructural(nil, s)) > 0 {
		return nil
	}
	crd := crdOf("example.com", nil)
	crd.Status.AcceptedNames = crd.Spec.Names
	crd.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{{
		Name: "v1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: props},
	}}
	if len(schemaErrors(crd, nil, false)) > 0 {
		return nil
	}
	d := &Definitions{compiled: newShelf(4)}
	return &rules{version: d.newVersion(crd, &crd.Spec.Versions[0])}
}

var schemas = []string{
	`{"type":"object"}`,
	`{"type":"object","x-kubernetes-preserve-unknown-fields":true}`,
	`{"type":"object","properties":{"a":{"type":"string","default":"x","nullable":true},"b":{"type":"array","items":{"type":"integer"},"x-kubernetes-list-type":"set"}}}`,
	`{"type":"object","properties":{"t":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}}}`,
	`{"type":"object","properties":{"p":{"x-kubernetes-int-or-string":true}},"x-kubernetes-validations":[{"rule":"has(self.p)"}]}`,
	`{"type":"object","properties":{"m":{"type":"object","additionalProperties":{"type":"string","format":"date-time","enum":["a","b"]}}},"oneOf":[{"required":["m"]}]}`,
}

// FuzzObjects takes objects through what is done with each that comes in: whatever they and the schemas are, it ends, and
// an object that went through it comes out of it unchanged the next time.
func FuzzObjects(f *testing.F) {
	for _, schema := range schemas {
		for _, object := range []string{
			`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a","labels":{"x":"y"}},"a":null,"b":[1,1],"t":{"kind":"P","metadata":{"x":1}},"p":7,"m":{"k":"a"}}`,
			`{"metadata":7}`, `{"metadata":{"labels":[]},"kind":1}`, `{"a":{"a":{"a":[[[]]]}}}`, `{}`,
		} {
			f.Add(schema, object)
		}
	}
	f.Fuzz(func(t *testing.T, schema, object string) {
		if len(schema)+len(object) > 4<<10 {
			return
		}
		c := versionOf(schema)
		u := &unstructured.Unstructured{}
		if c == nil || json.Unmarshal([]byte(object), &u.Object) != nil || u.Object == nil {
			return
		}
		u.Object = runtime.DeepCopyJSON(integers(u.Object).(map[string]any))
		if _, err := c.coerce(u, true); err != nil {
			return
		}
		c.fill(u)
		once := u.DeepCopy()
		unknown, err := c.coerce(u, true)
		c.fill(u)
		if err != nil || len(unknown) > 0 || !reflect.DeepEqual(once.Object, u.Object) {
			t.Errorf("not the same the second time: %v %v\n%v\n%v", err, unknown, once.Object, u.Object)
		}
		c.create(nil, u)
		c.update(nil, u, once)
		c.updateStatus(nil, u, once)
	})
}

// integers makes of JSON's numbers what the server's decoders make of them.
func integers(value any) any {
	switch typed := value.(type) {
	case float64:
		if typed == float64(int64(typed)) {
			return int64(typed)
		}
	case []any:
		for i := range typed {
			typed[i] = integers(typed[i])
		}
	case map[string]any:
		for key := range typed {
			typed[key] = integers(typed[key])
		}
	}
	return value
}

// FuzzMetadata holds the short look at metadata against the long way: what it finds well formed comes out of that unchanged.
func FuzzMetadata(f *testing.F) {
	for _, metadata := range []string{
		`{"name":"a","namespace":"b","uid":"c","resourceVersion":"1","generation":1,"creationTimestamp":"2026-01-02T03:04:05Z"}`,
		`{"labels":{"a":"b"},"annotations":{},"finalizers":["x"]}`, `{"creationTimestamp":null}`, `{"generation":0,"name":""}`,
		`{"ownerReferences":[{"apiVersion":"v1","kind":"A","name":"b","uid":"c","controller":true}]}`,
		`{"managedFields":[{"manager":"a","operation":"Update","apiVersion":"v1","time":"2026-01-02T03:04:05Z","fieldsType":"FieldsV1","fieldsV1":{"f:a":{}}}]}`,
	} {
		f.Add(metadata)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var metadata map[string]any
		if json.Unmarshal([]byte(text), &metadata) != nil || metadata == nil {
			return
		}
		metadata = integers(metadata).(map[string]any)
		if !wellFormed(metadata) {
			return
		}
		object := map[string]any{"metadata": runtime.DeepCopyJSON(metadata)}
		read, _, err := objectmeta.GetObjectMeta(object, false)
		if err == nil {
			err = objectmeta.SetObjectMeta(object, read)
		}
		got, _ := object["metadata"].(map[string]any)
		if _, given := metadata["creationTimestamp"]; !given {
			delete(got, "creationTimestamp")
		}
		if err != nil || !reflect.DeepEqual(got, metadata) {
			t.Errorf("%s: %v, %v", text, err, object["metadata"])
		}
	})
}

// TestLargeSchemasEnd compiles and uses schemas that are as large and deep as a request may bring.
func TestLargeSchemasEnd(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"type":"object","properties":{"a":`, 2000) + `{"type":"string"}` + strings.Repeat(`}}`, 2000)
	values := make([]string, 50_000)
	for i := range values {
		values[i] = `"` + strings.Repeat("v", i%7+1) + `"`
	}
	wide := `{"type":"object","properties":{"e":{"type":"string","enum":[` + strings.Join(values, ",") + `]}}}`
	laughs := `{"type":"string"}`
	for range 12 {
		laughs = `{"allOf":[` + laughs + `,` + laughs + `]}`
	}
	laughs = `{"type":"object","properties":{"l":{"type":"string","not":` + strings.ReplaceAll(laughs, `"type":"string"`, `"pattern":"^a"`) + `}}}`
	for name, schema := range map[string]string{"deep": deep, "wide": wide, "laughs": laughs} {
		c := versionOf(schema)
		if c == nil {
			t.Logf("%s is refused", name)
			continue
		}
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "a"}, "e": "vvv", "l": "b", "a": map[string]any{},
		}}
		if _, err := c.coerce(u, true); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if errs := c.create(nil, u); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
		}
	}
}
