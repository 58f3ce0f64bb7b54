package apiserver

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	maps  = "/api/v1/namespaces/default/configmaps"
	pods  = "/api/v1/namespaces/default/pods"
	merge = "application/merge-patch+json"
	apply = "application/apply-patch+yaml"
)

// TestBadRequestsAreAnsweredInUpstreamsWords sends what is wrong and reads what the client is told.
//
// conformance: Server side field validation, typed object
// conformance: Server side field validation, typed unknown metadata
func TestBadRequestsAreAnsweredInUpstreamsWords(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	if a := s.Do("POST", maps, `{"metadata":{"name":"there"},"data":{"a":"1"}}`); a.Code != 201 {
		t.Fatal(a.Body)
	}
	huge := strings.Repeat(`{"op":"test","path":"/a","value":1},`, 10001)
	for name, c := range map[string]struct {
		method, path, body, contentType string
		code                            int
		reason                          metav1.StatusReason
		message                         string
	}{
		"unknown field, strict": {"POST", maps + "?fieldValidation=Strict", `{"metadata":{"name":"x"},"datum":{}}`, "", 400, "BadRequest",
			`ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "datum"`},
		"two strict errors": {"POST", pods + "?fieldValidation=Strict", `{"metadata":{"name":"x","nome":"y"},"spec":{"foo":1,"containers":[{"name":"a","name":"b"}]}}`, "", 400, "BadRequest",
			`strict decoding error: unknown field "metadata.nome", unknown field "spec.foo", duplicate field "spec.containers[0].name"`},
		"strict merge patch": {"PATCH", maps + "/there?fieldValidation=Strict", `{"datum":{}}`, merge, 400, "BadRequest", `strict decoding error: unknown field "datum"`},
		"strict strategic patch": {"PATCH", maps + "/there?fieldValidation=Strict", `{"datum":{}}`, "application/strategic-merge-patch+json", 400, "BadRequest",
			`strict decoding error: unknown field "datum"`},
		"yaml duplicate":            {"POST", maps + "?fieldValidation=Strict", "metadata:\n  name: x\n  name: z\n", "application/yaml", 400, "BadRequest", `key "name" already set in map`},
		"not JSON":                  {"POST", maps, `{"metadata":`, "", 400, "BadRequest", "unexpected end of JSON input"},
		"wrong type":                {"POST", maps, `{"metadata":{"name":"x"},"data":{"a":1}}`, "", 400, "BadRequest", "cannot unmarshal number into Go struct field ConfigMap.data of type string"},
		"other version":             {"POST", maps, `{"apiVersion":"v2","kind":"ConfigMap"}`, "", 400, "BadRequest", "the API version in the data (v2) does not match the expected API version (v1)"},
		"other namespace":           {"POST", maps, `{"metadata":{"name":"x","namespace":"other"}}`, "", 400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"},
		"other name":                {"PUT", maps + "/there", `{"metadata":{"name":"x"}}`, "", 400, "BadRequest", "the name of the object (x) does not match the name on the URL (there)"},
		"no name":                   {"POST", maps, `{"data":{}}`, "", 422, "Invalid", `ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required`},
		"bad name":                  {"POST", maps, `{"metadata":{"name":"A_B"}}`, "", 422, "Invalid", `metadata.name: Invalid value: "A_B": a lowercase RFC 1123 subdomain must consist of`},
		"version on create":         {"POST", maps, `{"metadata":{"name":"x","resourceVersion":"1"}}`, "", 400, "BadRequest", "resourceVersion should not be set on objects to be created"},
		"already there":             {"POST", maps, `{"metadata":{"name":"there"}}`, "", 409, "AlreadyExists", `configmaps "there" already exists`},
		"not there":                 {"GET", maps + "/none", "", "", 404, "NotFound", `configmaps "none" not found`},
		"update of nothing":         {"PUT", maps + "/none", `{"metadata":{"name":"none"}}`, "", 404, "NotFound", `configmaps "none" not found`},
		"old version":               {"PUT", maps + "/there", `{"metadata":{"name":"there","resourceVersion":"1"}}`, "", 409, "Conflict", `Operation cannot be fulfilled on configmaps "there": the object has been modified; please apply your changes to the latest version and try again`},
		"other UID":                 {"PUT", maps + "/there", `{"metadata":{"name":"there","uid":"u"}}`, "", 409, "Conflict", "Precondition failed: UID in precondition: u, UID in object meta:"},
		"unknown selector":          {"GET", pods + "?fieldSelector=spec.foo%3Da", "", "", 400, "BadRequest", "field label not supported: spec.foo"},
		"bad selector":              {"GET", pods + "?labelSelector=a%3D%3D%3Db", "", "", 400, "BadRequest", "unable to parse requirement"},
		"bad limit":                 {"GET", pods + "?limit=x", "", "", 400, "BadRequest", `parsing "x": invalid syntax`},
		"match without":             {"GET", pods + "?resourceVersionMatch=Exact", "", "", 422, "Invalid", "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"},
		"bad dry run":               {"POST", maps + "?dryRun=Some", `{"metadata":{"name":"x"}}`, "", 422, "Invalid", `dryRun: Unsupported value: ["Some"]: supported values: "All"`},
		"bad field manager":         {"POST", maps + "?fieldManager=" + strings.Repeat("a", 129), `{"metadata":{"name":"x"}}`, "", 422, "Invalid", "fieldManager: Too long: may not be more than 128 bytes"},
		"bad format":                {"POST", maps, `{}`, "text/plain", 415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"},
		"bad patch format":          {"PATCH", maps + "/there", `{}`, "application/json", 415, "UnsupportedMediaType", "accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml"},
		"patch of nothing":          {"PATCH", maps + "/none", `{}`, merge, 404, "NotFound", `configmaps "none" not found`},
		"patch that misses":         {"PATCH", maps + "/there", `[{"op":"test","path":"/data/a","value":"2"}]`, "application/json-patch+json", 422, "Invalid", "the server rejected our request due to an error in our request"},
		"too many operations":       {"PATCH", maps + "/there", "[" + strings.TrimSuffix(huge, ",") + "]", "application/json-patch+json", 413, "RequestEntityTooLarge", "The allowed maximum operations in a JSON patch is 10000, got 10001"},
		"apply without name":        {"PATCH", maps + "/there", "apiVersion: v1\nkind: ConfigMap\n", apply, 422, "Invalid", "fieldManager: Required value: is required for apply patch"},
		"apply other version":       {"PATCH", maps + "/there?fieldManager=m", "apiVersion: v2\nkind: ConfigMap\n", apply, 400, "BadRequest", "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1"},
		"apply unknown":             {"PATCH", maps + "/there?fieldManager=m", "apiVersion: v1\nkind: ConfigMap\ndatum: {}\n", apply, 500, "", "field not declared in schema"},
		"delete both":               {"DELETE", maps + "/there", `{"orphanDependents":true,"propagationPolicy":"Foreground"}`, "", 422, "Invalid", "orphanDependents and deletionPropagation cannot be both set"},
		"delete other":              {"DELETE", maps + "/there", `{"preconditions":{"uid":"u"}}`, "", 409, "Conflict", "the UID in the precondition (u) does not match the UID in record"},
		"put on collection":         {"PUT", maps, `{}`, "", 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"},
		"post on object":            {"POST", maps + "/there", `{}`, "", 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"},
		"post without namespace":    {"POST", "/api/v1/configmaps", `{"metadata":{"name":"x"}}`, "", 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"},
		"object without namespace":  {"GET", "/api/v1/configmaps/there", "", "", 404, "NotFound", "the server could not find the requested resource"},
		"patch without namespace":   {"PATCH", "/api/v1/configmaps/there", `{}`, merge, 404, "NotFound", "the server could not find the requested resource"},
		"binding without namespace": {"POST", "/api/v1/bindings", `{}`, "", 404, "NotFound", "the server could not find the requested resource"},
		"named review":              {"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews/x", `{}`, "", 404, "NotFound", "the server could not find the requested resource"},
		"node in a namespace":       {"GET", "/api/v1/namespaces/default/nodes", "", "", 404, "NotFound", "the server could not find the requested resource"},
		"role in a namespace":       {"POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/clusterroles", `{"metadata":{"name":"x"}}`, "", 404, "NotFound", "the server could not find the requested resource"},
		"namespace of a node":       {"GET", "/api/v1/nodes?fieldSelector=metadata.namespace%3Da", "", "", 400, "BadRequest", "field label not supported: metadata.namespace"},
		"bad continue token":        {"GET", maps + "?continue=bogus", "", "", 400, "BadRequest", "invalid continue token: continue key is not valid: illegal base64 data at input byte 4"},
		"unknown continue token":    {"GET", maps + "?continue=e30", "", "", 400, "BadRequest", "invalid continue token: continue key is not valid: server does not recognize this encoded version"},
		"bad version of a list":     {"GET", maps + "?resourceVersion=x", "", "", 400, "BadRequest", `invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax`},
		"finalizer without domain":  {"PUT", maps + "/there", `{"metadata":{"name":"there","finalizers":["x"]}}`, "", 422, "Invalid", `metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified`},
		"both deletion finalizers":  {"PUT", maps + "/there", `{"metadata":{"name":"there","finalizers":["orphan","foregroundDeletion"]}}`, "", 422, "Invalid", "finalizer orphan and foregroundDeletion cannot be both set"},
		"bad name before version":   {"POST", maps, `{"metadata":{"name":"A_B","resourceVersion":"1"}}`, "", 422, "Invalid", `metadata.name: Invalid value: "A_B"`},
		"no such resource":          {"GET", "/api/v1/namespaces/default/things", "", "", 404, "NotFound", "the server could not find the requested resource"},
		"no such subresource":       {"GET", maps + "/there/scale", "", "", 404, "NotFound", "the server could not find the requested resource"},
		"no such path":              {"GET", "/nothing/here", "", "", 404, "NotFound", "the server could not find the requested resource"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			headers := []string{}
			if c.contentType != "" {
				headers = append(headers, "Content-Type", c.contentType)
			}
			answer := s.Do(c.method, c.path, c.body, headers...)
			if answer.Code != c.code {
				t.Fatalf("status %d, want %d\n%s", answer.Code, c.code, answer.Body)
			}
			status := answer.Status(t)
			if status.Reason != c.reason || !strings.Contains(status.Message, c.message) || int(status.Code) != c.code {
				t.Errorf("reason %q, message\n  %s\nwant %q and\n  %s", status.Reason, status.Message, c.reason, c.message)
			}
		})
	}
}

// TestVersion0IsNoVersion: a new object may carry resourceVersion "0", as the manifests of kubeadm's name server do.
func TestVersion0IsNoVersion(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	answer := s.Do("POST", maps, `{"metadata":{"name":"zero","resourceVersion":"0"}}`)
	if answer.Code != 201 || strings.Contains(answer.Body, `"resourceVersion":"0"`) {
		t.Errorf("%d: %s", answer.Code, answer.Body)
	}
}

// TestFieldValidationWarns shows the three ways to treat fields that do not exist.
func TestFieldValidationWarns(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	body := `{"metadata":{"name":"%s"},"datum":{}}`
	warned := s.Do("POST", maps, fmt.Sprintf(body, "warn"))
	if warned.Code != 201 || warned.Header.Get("Warning") != `299 - "unknown field \"datum\""` {
		t.Errorf("warn: %d, Warning %q", warned.Code, warned.Header.Get("Warning"))
	}
	ignored := s.Do("POST", maps+"?fieldValidation=Ignore", fmt.Sprintf(body, "ignore"))
	if ignored.Code != 201 || ignored.Header.Get("Warning") != "" {
		t.Errorf("ignore: %d, Warning %q", ignored.Code, ignored.Header.Get("Warning"))
	}
	applied := s.Do("PATCH", maps+"/apply?fieldManager=m&fieldValidation=Strict", "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n", "Content-Type", apply)
	if applied.Code != 201 {
		t.Errorf("apply: %d %s", applied.Code, applied.Body)
	}
}

// TestADryRunLeavesNothing tries every write and finds the server as before.
func TestADryRunLeavesNothing(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	made := s.Do("POST", maps, `{"metadata":{"name":"a"},"data":{"k":"1"}}`).Object(t)["metadata"].(map[string]any)["resourceVersion"]
	for name, a := range map[string]Answer{
		"create":   s.Do("POST", maps+"?dryRun=All", `{"metadata":{"name":"b"}}`),
		"generate": s.Do("POST", maps+"?dryRun=All", `{"metadata":{"generateName":"b-"}}`),
		"update":   s.Do("PUT", maps+"/a?dryRun=All", `{"metadata":{"name":"a"},"data":{"k":"2"}}`),
		"patch":    s.Do("PATCH", maps+"/a?dryRun=All", `{"data":{"k":"2"}}`, "Content-Type", merge),
		"apply":    s.Do("PATCH", maps+"/c?dryRun=All&fieldManager=m", "apiVersion: v1\nkind: ConfigMap\n", "Content-Type", apply),
		"delete":   s.Do("DELETE", maps+"/a?dryRun=All", ""),
		"all":      s.Do("DELETE", maps+"?dryRun=All", ""),
	} {
		if a.Code != 200 && a.Code != 201 {
			t.Errorf("%s: %d %s", name, a.Code, a.Body)
		}
		if name == "update" || name == "patch" {
			if got := a.Object(t)["data"].(map[string]any)["k"]; got != "2" {
				t.Errorf("%s: the answer does not show what would be: %v", name, got)
			}
		}
	}
	list := s.Do("GET", maps, "").Object(t)["items"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["metadata"].(map[string]any)["resourceVersion"] != made {
		t.Errorf("something was left: %v", list)
	}
}

// TestNobodyOwnsWhatOnlyTheServerSets creates an object as a client that sends back what it has read from elsewhere.
func TestNobodyOwnsWhatOnlyTheServerSets(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	body := `{"metadata":{"name":"moved","uid":"u","resourceVersion":"7","creationTimestamp":"2020-01-01T00:00:00Z",` +
		`"deletionTimestamp":"2020-01-01T00:00:00Z","deletionGracePeriodSeconds":5,"labels":{"a":"b"}}}`
	if a := s.Do("POST", maps, body); a.Code != 400 {
		t.Errorf("with a resourceVersion: %d %s", a.Code, a.Body)
	}
	dry := s.Do("POST", maps+"?dryRun=All", body)
	if dry.Code != 201 {
		t.Errorf("a dry run never reaches storage, which refuses the version: %d %s", dry.Code, dry.Body)
	}
	made := s.Do("POST", maps, strings.Replace(body, `"resourceVersion":"7",`, "", 1)).Object(t)["metadata"].(map[string]any)
	if made["deletionTimestamp"] != nil || made["deletionGracePeriodSeconds"] != nil || made["uid"] == "u" {
		t.Errorf("kept: %v", made)
	}
	owned := made["managedFields"].([]any)[0].(map[string]any)["fieldsV1"].(map[string]any)["f:metadata"].(map[string]any)
	if len(owned) != 1 || owned["f:labels"] == nil {
		t.Errorf("the client owns %v, want its labels only", owned)
	}
}

// TestRepeatedOwnersAreNamed sends an owner twice.
func TestRepeatedOwnersAreNamed(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	owner := `{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u1"}`
	made := s.Do("POST", maps, `{"metadata":{"name":"owned","ownerReferences":[`+owner+","+owner+`]}}`)
	if got := len(made.Object(t)["metadata"].(map[string]any)["ownerReferences"].([]any)); got != 1 {
		t.Errorf("%d owners", got)
	}
	if w := made.Header.Get("Warning"); !strings.Contains(w, "please fix your requests; duplicate UID(s) observed: u1") {
		t.Errorf("Warning %q", w)
	}
}

// TestSelectorsOfKindsWithoutFields shows that name and namespace select of every such kind, whatever its scope.
func TestSelectorsOfKindsWithoutFields(t *testing.T) {
	t.Parallel()
	s := Start(t)
	const classes = "/apis/storage.k8s.io/v1/storageclasses"
	if a := s.Do("POST", classes, `{"metadata":{"name":"c"},"provisioner":"p"}`); a.Code != 201 {
		t.Fatal(a.Body)
	}
	for selector, want := range map[string]int{"metadata.namespace%3Dx": 0, "metadata.namespace!%3Dx": 1, "metadata.namespace%3D": 1, "metadata.name%3Dc": 1} {
		a := s.Do("GET", classes+"?fieldSelector="+selector, "")
		if items, _ := a.Object(t)["items"].([]any); a.Code != 200 || len(items) != want {
			t.Errorf("%s: %d %s, want %d items", selector, a.Code, a.Body, want)
		}
	}
}

// TestApplyMergesAndConflicts takes one object through appliers that agree, disagree, force and give up fields.
func TestApplyMergesAndConflicts(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	put := func(manager, body string, force bool) Answer {
		return s.Do("PATCH", fmt.Sprintf("%s/a?fieldManager=%s&force=%v", maps, manager, force), body, "Content-Type", apply)
	}
	data := func(a Answer) map[string]any {
		t.Helper()
		if a.Code > 201 {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
		found, _ := a.Object(t)["data"].(map[string]any)
		return found
	}
	const head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: "
	if a := put("one", head+"{x: '1', w: '1'}", false); a.Code != 201 || len(data(a)) != 2 {
		t.Fatalf("create: %d %s", a.Code, a.Body)
	}
	if a := put("two", head+"{z: '2'}", false); a.Code != 200 || len(data(a)) != 3 {
		t.Fatalf("second manager: %d %s", a.Code, a.Body)
	}
	conflict := put("two", head+"{x: '2'}", false)
	if conflict.Code != 409 {
		t.Fatalf("no conflict: %d %s", conflict.Code, conflict.Body)
	}
	status := conflict.Status(t)
	if status.Message != `Apply failed with 1 conflict: conflict with "one": .data.x` || status.Details.Causes[0].Field != ".data.x" {
		t.Errorf("conflict: %+v", status)
	}
	if got := data(put("two", head+"{x: '2'}", true)); got["x"] != "2" || got["z"] != nil {
		t.Errorf("forced: %v", got)
	}
	if got := data(put("one", head+"{w: '1'}", false)); got["x"] != "2" || got["w"] != "1" {
		t.Errorf("one gave up x, which two holds: %v", got)
	}
	before := s.Do("GET", maps+"/a", "")
	again := put("one", head+"{w: '1'}", false)
	if version(t, before) != version(t, again) {
		t.Errorf("an apply that changes nothing wrote: %s then %s", version(t, before), version(t, again))
	}
	managers := map[string]string{}
	for _, entry := range again.Object(t)["metadata"].(map[string]any)["managedFields"].([]any) {
		e := entry.(map[string]any)
		managers[e["manager"].(string)] = e["operation"].(string)
	}
	if len(managers) != 2 || managers["one"] != "Apply" {
		t.Errorf("managers: %v", managers)
	}
}

func version(t *testing.T, a Answer) string {
	t.Helper()
	return a.Object(t)["metadata"].(map[string]any)["resourceVersion"].(string)
}

// TestManyFormsOfOneObject asks for the same object in every form.
func TestManyFormsOfOneObject(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	s.Do("POST", maps, `{"metadata":{"name":"a","labels":{"l":"v"}},"data":{"k":"<1>"}}`)
	for accept, want := range map[string]string{
		"application/json":                    `"data":{"k":"\u003c1\u003e"}`,
		"*/*":                                 `{"kind":"ConfigMap","apiVersion":"v1"`,
		"":                                    `{"kind":"ConfigMap","apiVersion":"v1"`,
		"text/html,application/yaml;q=0.8":    "kind: ConfigMap\n",
		"application/vnd.kubernetes.protobuf": "k8s\x00",
		"application/json;as=Table;v=v1;g=meta.k8s.io":                     `"kind":"Table","apiVersion":"meta.k8s.io/v1"`,
		"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io":     `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1"`,
		"application/json;as=Table;v=v9;g=meta.k8s.io,application/json":    `{"kind":"ConfigMap"`,
		"application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1,": `"NotAcceptable"`,
		"image/png": "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
	} {
		a := s.Do("GET", maps+"/a", "", "Accept", accept)
		if !strings.Contains(a.Body, want) {
			t.Errorf("Accept %q: %d %s\nwant %s", accept, a.Code, a.Body, want)
		}
	}
	pretty := s.Do("GET", maps+"/a", "", "User-Agent", "curl/8")
	if !strings.Contains(pretty.Body, "\n  \"kind\": \"ConfigMap\"") {
		t.Errorf("not pretty for people: %s", pretty.Body)
	}
	for accept, want := range map[string]string{
		"application/json": `"metadata":{"resourceVersion":"`,
		"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io": `"items":[{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a"`,
		"application/json;as=Table;v=v1;g=meta.k8s.io":                     `"cells":["a",1,`,
		"application/yaml":                    "kind: ConfigMapList\n",
		"application/vnd.kubernetes.protobuf": "ConfigMapList",
	} {
		a := s.Do("GET", maps, "", "Accept", accept)
		if a.Code != 200 || !strings.Contains(a.Body, want) {
			t.Errorf("list, Accept %q: %d %s", accept, a.Code, a.Body)
		}
	}
	if a := s.Do("GET", maps+"?includeObject=None", "", "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"); !strings.Contains(a.Body, `"object":null`) {
		t.Errorf("a row without its object: %s", a.Body)
	}
}
