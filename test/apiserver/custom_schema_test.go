package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// widgets is a definition in YAML with a schema for spec, and more below the version if given.
func widgets(group, spec string, more ...string) string {
	return fmt.Sprintf(`
metadata: {name: widgets.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: %[2]s
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
%[3]s`, group, spec, strings.Join(more, "\n"))
}

func widget(group, name, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"%s/v1","kind":"Widget","metadata":{"name":%q},"spec":%s}`, group, name, spec)
}

func widgetsPath(group string) string { return "/apis/" + group + "/v1/namespaces/default/widgets" }

// customServer is a server with a namespace "default".
func customServer(t *testing.T) *Server {
	server := StartComplete(t)
	server.Namespace("default")
	return server
}

// refusal is what is expected of an answer: its code, and words of its message; with 201 of its body.
type refusal struct {
	spec  string
	code  int
	words []string
}

// TestObjectsAreHeldToTheirSchema creates right and wrong objects of many schemas.
func TestObjectsAreHeldToTheirSchema(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	set := server.InProcess("admin", "system:masters")
	for group, test := range map[string]struct {
		schema string
		tries  []refusal
	}{
		"values.example.com": {
			`{type: object, required: [name], properties: {name: {type: string, maxLength: 5, pattern: "^a"}, kind: {type: string, enum: [A, B]},
			  list: {type: array, maxItems: 2, items: {type: integer, maximum: 9}}, at: {type: string, format: date-time}, ip: {type: string, format: ipv4}}}`,
			[]refusal{
				{`{"name":"abc"}`, 201, []string{`"name":"abc"`}},
				{`{}`, 422, []string{"spec.name: Required value"}},
				{`{"name":"abcdef"}`, 422, []string{"spec.name: Too long: may not be more than 5 bytes"}},
				{`{"name":"b"}`, 422, []string{`spec.name: Invalid value: "b": spec.name in body should match '^a'`}},
				{`{"name":"a","kind":"C"}`, 422, []string{`spec.kind: Unsupported value: "C": supported values: "A", "B"`}},
				{`{"name":"a","list":[1,2,3]}`, 422, []string{"spec.list: Too many: 3: must have at most 2 items"}},
				{`{"name":"a","list":[10]}`, 422, []string{"spec.list[0]: Invalid value: 10: spec.list[0] in body should be less than or equal to 9"}},
				{`{"name":7}`, 422, []string{`spec.name: Invalid value: "integer": spec.name in body must be of type string: "integer"`}},
				{`{"name":"a","at":"noon"}`, 422, []string{`spec.at: Invalid value: "noon": spec.at in body must be of type date-time: "noon"`}},
				{`{"name":"a","ip":"1.2.3"}`, 422, []string{`must be of type ipv4`}},
			},
		},
		"nulls.example.com": {
			`{type: object, properties: {a: {type: string, nullable: true}, b: {type: string, default: x}, c: {type: string}}}`,
			[]refusal{
				{`{"a":null}`, 201, []string{`"a":null`, `"b":"x"`}},
				{`{"b":null}`, 201, []string{`"b":"x"`}},
				{`{"c":null}`, 201, []string{`"spec":{"b":"x"}`}},
			},
		},
		"either.example.com": {
			`{type: object, properties: {port: {x-kubernetes-int-or-string: true}}}`,
			[]refusal{
				{`{"port":80}`, 201, []string{`"port":80`}}, {`{"port":"http"}`, 201, []string{`"port":"http"`}},
				{`{"port":true}`, 422, []string{"spec.port: Invalid value"}},
			},
		},
		"lists.example.com": {
			`{type: object, properties: {set: {type: array, x-kubernetes-list-type: set, items: {type: string}},
			  map: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name], items: {type: object, required: [name], properties: {name: {type: string}}}}}}`,
			[]refusal{
				{`{"set":["a","b"],"map":[{"name":"a"},{"name":"b"}]}`, 201, nil},
				{`{"set":["a","a"]}`, 422, []string{`spec.set[1]: Duplicate value: "a"`}},
				{`{"map":[{"name":"a"},{"name":"a"}]}`, 422, []string{`spec.map[1]: Duplicate value: {"name":"a"}`}},
			},
		},
		"embedded.example.com": {
			`{type: object, properties: {template: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}}}`,
			[]refusal{
				{`{"template":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"x":1}}}`, 201, []string{`"x":1`}},
				{`{"template":{"kind":"Pod"}}`, 422, []string{"spec.template.apiVersion: Required value"}},
				{`{"template":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a/b"}}}`, 422, []string{"spec.template.metadata.name: Invalid value"}},
				{`{"template":{"apiVersion":"v1","kind":"Pod","metadata":{"labels":7}}}`, 400, []string{"spec.template.metadata"}},
			},
		},
		"rules.example.com": {
			`{type: object, x-kubernetes-validations: [
			   {rule: "self.min <= self.max", messageExpression: "'min is above max for ' + self.who", fieldPath: .min, reason: FieldValueForbidden}],
			  properties: {min: {type: integer}, max: {type: integer}, who: {type: string, maxLength: 9}, fixed: {type: string, maxLength: 20, x-kubernetes-validations: [{rule: self == oldSelf, message: is fixed}]}}}`,
			[]refusal{
				{`{"min":1,"max":2}`, 201, nil},
				{`{"min":3,"max":2,"who":"me"}`, 422, []string{`spec.min: Forbidden: min is above max for me`}},
				{`{"min":"x","max":2}`, 422, []string{"some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"}},
			},
		},
	} {
		define(t, set, widgets(group, test.schema))
		for i, try := range test.tries {
			answer := server.Do("POST", widgetsPath(group), widget(group, fmt.Sprint("w", i), try.spec))
			if answer.Code != try.code {
				t.Errorf("%s: %s: %d %s", group, try.spec, answer.Code, answer.Body)
			}
			said := strings.ReplaceAll(answer.Body, `\"`, `"`)
			if answer.Code >= 400 {
				said = answer.Status(t).Message
			}
			for _, words := range try.words {
				if !strings.Contains(said, words) {
					t.Errorf("%s: %s: no %q in %s", group, try.spec, words, said)
				}
			}
		}
	}
	// Rules over changes.
	path := widgetsPath("rules.example.com") + "/w0"
	patch := func(body string) Answer {
		return server.Do("PATCH", path, body, "Content-Type", "application/merge-patch+json")
	}
	if answer := patch(`{"spec":{"fixed":"a"}}`); answer.Code != 200 {
		t.Errorf("first value of a fixed field: %s", answer.Body)
	}
	if answer := patch(`{"spec":{"fixed":"b"}}`); answer.Code != 422 || !strings.Contains(answer.Body, "spec.fixed: Invalid value: \\\"b\\\": is fixed") && !strings.Contains(answer.Body, "is fixed") {
		t.Errorf("another value of a fixed field: %d %s", answer.Code, answer.Body)
	}
}

// TestWhatWasWrongMayStay tightens a schema and changes other things in an object that does not fit any longer (KEP-4008).
func TestWhatWasWrongMayStay(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	set := server.InProcess("admin", "system:masters")
	const group = "ratchet.example.com"
	define(t, set, widgets(group, `{type: object, properties: {a: {type: string}, b: {type: string}, list: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [id], items: {type: object, required: [id], properties: {id: {type: string}, v: {type: string}}}}}}`))
	if answer := server.Do("POST", widgetsPath(group), widget(group, "old", `{"a":"long enough","b":"x","list":[{"id":"1","v":"long"}]}`)); answer.Code != 201 {
		t.Fatal(answer.Body)
	}
	change := `[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/a/maxLength","value":3},
		{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/list/items/properties/v/maxLength","value":3}]`
	redefine(t, server, "widgets."+group, change)
	for body, want := range map[string]int{
		`{"metadata":{"labels":{"x":"y"}}}`:                       200,
		`{"spec":{"b":"z"}}`:                                      200,
		`{"spec":{"a":"also too long"}}`:                          422,
		`{"spec":{"list":[{"id":"0"},{"id":"1","v":"long"}]}}`:    200,
		`{"spec":{"list":[{"id":"0"},{"id":"1","v":"changed"}]}}`: 422,
	} {
		answer := server.Do("PATCH", widgetsPath(group)+"/old", body, "Content-Type", "application/merge-patch+json")
		if answer.Code != want {
			t.Errorf("%s: %d %s", body, answer.Code, answer.Body)
		}
	}
	if answer := server.Do("POST", widgetsPath(group), widget(group, "new", `{"a":"long enough"}`)); answer.Code != 422 {
		t.Errorf("a new object: %d %s", answer.Code, answer.Body)
	}
}

// redefine changes a definition by a JSON patch and waits until the change is served.
func redefine(t *testing.T, server *Server, name, patch string) {
	t.Helper()
	before := server.Resources.All().Revision
	answer := server.Do("PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+name, patch, "Content-Type", "application/json-patch+json")
	if answer.Code != 200 {
		t.Fatalf("definition: %d %s", answer.Code, answer.Body)
	}
	waitFor(t, func() bool { return server.Resources.All().Revision > before })
}

// TestUnknownFieldsOfCustomResources sends what schemas do not know, in all ways.
//
// conformance: Server side field validation, unknown fields CR no validation schema
// conformance: Server side field validation, valid CR with validation schema
// conformance: Server side field validation, unknown fields CR fails validation
// conformance: Server side field validation, CR duplicates
// conformance: Server side field validation, unknown metadata
func TestUnknownFieldsOfCustomResources(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	set := server.InProcess("admin", "system:masters")
	const strict, open = "strict.example.com", "open.example.com"
	define(t, set, widgets(strict, `{type: object, properties: {a: {type: string}, template: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true, properties: {metadata: {type: object}}}}}`))
	define(t, set, widgets(open, `{type: object, x-kubernetes-preserve-unknown-fields: true}`))
	post := func(group, body, validation string) Answer {
		return server.Do("POST", widgetsPath(group)+"?fieldValidation="+validation, body)
	}
	const unknown = `{"a":"1","x":1,"y":{"z":2}}`
	answer := post(strict, widget(strict, "w", unknown), "Strict")
	if status := answer.Status(t); answer.Code != 400 || status.Message != `Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.x", unknown field "spec.y"` {
		t.Errorf("strictly: %d %s", answer.Code, status.Message)
	}
	answer = post(strict, widget(strict, "warned", unknown), "Warn")
	if warnings := answer.Header["Warning"]; answer.Code != 201 || len(warnings) != 2 || !strings.Contains(warnings[0], `unknown field \"spec.x\"`) || strings.Contains(answer.Body, `"x"`) {
		t.Errorf("with warnings: %d %q %s", answer.Code, warnings, answer.Body)
	}
	if answer = post(strict, widget(strict, "ignored", unknown), "Ignore"); answer.Code != 201 || len(answer.Header["Warning"]) != 0 {
		t.Errorf("ignored: %d %q", answer.Code, answer.Header["Warning"])
	}
	if answer = post(open, widget(open, "w", unknown), "Strict"); answer.Code != 201 || !strings.Contains(answer.Body, `"z":2`) {
		t.Errorf("without a schema: %d %s", answer.Code, answer.Body)
	}
	twice := `{"apiVersion":"open.example.com/v1","kind":"Widget","metadata":{"name":"twice"},"spec":{"a":1,"a":2}}`
	if answer = post(open, twice, "Strict"); answer.Code != 400 || !strings.Contains(answer.Status(t).Message, `duplicate field "spec.a"`) {
		t.Errorf("duplicates: %d %s", answer.Code, answer.Body)
	}
	yaml := "apiVersion: open.example.com/v1\nkind: Widget\nmetadata: {name: twice}\nspec:\n  a: 1\n  a: 2\n"
	answer = server.Do("POST", widgetsPath(open)+"?fieldValidation=Strict", yaml, "Content-Type", "application/yaml")
	if answer.Code != 400 || !strings.Contains(answer.Status(t).Message, `line 6: key "a" already set in map`) {
		t.Errorf("duplicates in YAML: %d %s", answer.Code, answer.Body)
	}
	body := `{"apiVersion":"strict.example.com/v1","kind":"Widget","metadata":{"name":"m","mistake":1},
		"spec":{"template":{"apiVersion":"v1","kind":"P","metadata":{"name":"e","mistake":2}}}}`
	if answer = post(strict, body, "Strict"); answer.Code != 400 || !strings.Contains(answer.Status(t).Message, `unknown field "metadata.mistake", unknown field "spec.template.metadata.mistake"`) {
		t.Errorf("metadata: %d %s", answer.Code, answer.Body)
	}
	apply := func(group, name, text string) Answer {
		return server.Do("PATCH", widgetsPath(group)+"/"+name+"?fieldManager=me&fieldValidation=Strict", text, "Content-Type", "application/apply-patch+yaml")
	}
	if answer = apply(strict, "fine", widget(strict, "fine", `{"a":"1"}`)); answer.Code != 201 {
		t.Errorf("a valid one applied: %d %s", answer.Code, answer.Body)
	}
	if answer = apply(strict, "applied", widget(strict, "applied", unknown)); !strings.Contains(answer.Status(t).Message, "field not declared in schema") {
		t.Errorf("unknown ones applied: %d %s", answer.Code, answer.Body)
	}
	if answer = apply(strict, "applied", body); !strings.Contains(answer.Status(t).Message, "mistake: field not declared in schema") && !strings.Contains(answer.Status(t).Message, "does not match the name") {
		t.Errorf("unknown metadata applied: %d %s", answer.Code, answer.Body)
	}
	if answer = apply(open, "applied", widget(open, "applied", unknown)); answer.Code != 201 {
		t.Errorf("applied without a schema: %d %s", answer.Code, answer.Body)
	}
	if answer = apply(open, "twice", yaml); answer.Code != 400 || !strings.Contains(answer.Status(t).Message, `line 6: key "a" already set in map`) {
		t.Errorf("duplicates applied: %d %s", answer.Code, answer.Body)
	}
	patch := func(kind, text string) Answer {
		return server.Do("PATCH", widgetsPath(strict)+"/fine?fieldValidation=Strict", text, "Content-Type", kind)
	}
	if answer = patch("application/merge-patch+json", `{"spec":{"x":1}}`); answer.Code != 400 || !strings.Contains(answer.Body, "unknown field") {
		t.Errorf("merge patch: %d %s", answer.Code, answer.Body)
	}
	if answer = patch("application/json-patch+json", `[{"op":"add","path":"/spec/x","value":1}]`); answer.Code != 400 || !strings.Contains(answer.Body, "unknown field") {
		t.Errorf("JSON patch: %d %s", answer.Code, answer.Body)
	}
	if answer = patch("application/strategic-merge-patch+json", `{}`); answer.Code != http.StatusUnsupportedMediaType {
		t.Errorf("strategic merge patch: %d %s", answer.Code, answer.Body)
	}
}

// TestWrongDefinitionsAreRefused sends definitions whose rules, defaults and lists make no sense.
func TestWrongDefinitionsAreRefused(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	for name, test := range map[string]struct{ schema, want string }{
		"syntax":     {`{type: object, x-kubernetes-validations: [{rule: "self.+"}]}`, "compilation failed: ERROR: <input>"},
		"unknown":    {`{type: object, x-kubernetes-validations: [{rule: "self.nope"}]}`, "undefined field 'nope'"},
		"no truth":   {`{type: object, properties: {a: {type: string}}, x-kubernetes-validations: [{rule: "self.a"}]}`, "cel expression must evaluate to a bool"},
		"empty":      {`{type: object, x-kubernetes-validations: [{rule: " "}]}`, "rule is not specified"},
		"field path": {`{type: object, x-kubernetes-validations: [{rule: "true", fieldPath: ".nope"}]}`, "must be a valid path"},
		"reason":     {`{type: object, x-kubernetes-validations: [{rule: "true", reason: Why}]}`, `Unsupported value: "Why": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"`},
		"cost":       {`{type: object, properties: {l: {type: array, items: {type: string}}}, x-kubernetes-validations: [{rule: "self.l.all(a, self.l.all(b, a != b))"}]}`, "estimated rule cost exceeds budget by factor of more than 100x"},
		"old items":  {`{type: object, properties: {l: {type: array, maxItems: 2, items: {type: string, maxLength: 2, x-kubernetes-validations: [{rule: "self == oldSelf"}]}}}}`, "oldSelf cannot be used on the uncorrelatable portion of the schema within spec.validation.openAPIV3Schema.properties[spec].properties[l]"},
		"optional":   {`{type: object, x-kubernetes-validations: [{rule: "true", optionalOldSelf: true}]}`, "may not be set if oldSelf is not used in rule"},
		"default":    {`{type: object, properties: {a: {type: integer, default: x}}}`, `default: Invalid value: "string": `},
		"list map":   {`{type: object, properties: {l: {type: array, x-kubernetes-list-type: map, items: {type: object}}}}`, "must not be empty if x-kubernetes-list-type is map"},
		"structure":  {`{properties: {a: {type: string}}}`, "type: Required value: must not be empty for specified object fields"},
	} {
		crd := object(t, parse(t, widgets("wrong.example.com", test.schema)))
		body, err := crd.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		answer := server.Do("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", string(body))
		if answer.Code != 422 || !strings.Contains(answer.Status(t).Message, test.want) {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}

// waitFor waits for what is going to happen by itself.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-t.Context().Done():
			t.Fatal("it never happened")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
