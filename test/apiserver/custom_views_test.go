package apiserver

import (
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// TestCustomSubresources writes spec and status apart, scales, and prints columns.
func TestCustomSubresources(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	set := server.InProcess("admin", "system:masters")
	const group = "views.example.com"
	define(t, set, widgets(group, `{type: object, properties: {replicas: {type: integer}, mode: {type: string}}}`,
		`    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}}`,
		`    additionalPrinterColumns:`,
		`    - {name: Mode, type: string, jsonPath: .spec.mode, description: how it runs}`,
		`    - {name: Replicas, type: integer, jsonPath: .status.replicas, priority: 1}`,
		`    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}`,
		`    - {name: Born, type: date, jsonPath: .metadata.creationTimestamp}`))
	path := widgetsPath(group)
	answer := server.Do("POST", path, `{"apiVersion":"views.example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"mode":"fast"},"status":{"replicas":9}}`)
	if answer.Code != 201 || strings.Contains(answer.Body, `"status"`) {
		t.Fatalf("a new object brought its status: %d %s", answer.Code, answer.Body)
	}
	if answer = server.Do("GET", path+"/w/scale", ""); answer.Code != 500 || !strings.Contains(answer.Body, `the spec replicas field \".spec.replicas\" does not exist`) {
		t.Errorf("scale without replicas: %d %s", answer.Code, answer.Body)
	}
	generation := func() any {
		return server.Do("GET", path+"/w", "").Object(t)["metadata"].(map[string]any)["generation"]
	}
	server.Do("PATCH", path+"/w", `{"spec":{"replicas":2},"status":{"replicas":5}}`, "Content-Type", merge)
	if got := generation(); got != float64(2) {
		t.Errorf("generation after a change of spec: %v", got)
	}
	answer = server.Do("PATCH", path+"/w/status", `{"metadata":{"labels":{"x":"y"}},"spec":{"replicas":7},"status":{"replicas":1,"selector":"app=w","conditions":[{"type":"Ready","status":"True"}]}}`, "Content-Type", merge)
	if answer.Code != 200 || !strings.Contains(answer.Body, `"replicas":2`) || strings.Contains(answer.Body, `"x":"y"`) || !strings.Contains(answer.Body, `"subresource":"status"`) {
		t.Errorf("status: %d %s", answer.Code, answer.Body)
	}
	if got := generation(); got != float64(2) {
		t.Errorf("generation after a change of status: %v", got)
	}
	answer = server.Do("GET", path+"/w/scale", "")
	scale := answer.Object(t)
	if spec := scale["spec"].(map[string]any); scale["kind"] != "Scale" || spec["replicas"] != float64(2) || scale["status"].(map[string]any)["selector"] != "app=w" {
		t.Errorf("scale: %s", answer.Body)
	}
	if answer = server.Do("PATCH", path+"/w/scale", `{"spec":{"replicas":4}}`, "Content-Type", merge); answer.Code != 200 || generation() != float64(3) {
		t.Errorf("scaling: %d %s", answer.Code, answer.Body)
	}
	if answer = server.Do("PATCH", path+"/w", `{"spec":{"replicas":-1}}`, "Content-Type", merge); answer.Code != 422 || !strings.Contains(answer.Body, ".spec.replicas: Invalid value: -1: should be a non-negative integer") {
		t.Errorf("negative replicas: %d %s", answer.Code, answer.Body)
	}
	table := server.Do("GET", path, "", "Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").Object(t)
	var columns []string
	for _, c := range table["columnDefinitions"].([]any) {
		columns = append(columns, c.(map[string]any)["name"].(string))
	}
	cells := table["rows"].([]any)[0].(map[string]any)["cells"].([]any)
	if strings.Join(columns, " ") != "Name Mode Replicas Ready Born" || cells[0] != "w" || cells[1] != "fast" || cells[2] != float64(1) || cells[3] != "True" {
		t.Errorf("table: %v %v", columns, cells)
	}
	partial := server.Do("GET", path+"/w", "", "Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
	if strings.Contains(partial.Body, `"spec"`) || !strings.Contains(partial.Body, `"kind":"PartialObjectMetadata"`) {
		t.Errorf("metadata: %s", partial.Body)
	}
	if answer = server.Do("GET", path, "", "Accept", "application/yaml"); answer.Code != 200 || !strings.Contains(answer.Body, "kind: WidgetList") {
		t.Errorf("YAML: %d %s", answer.Code, answer.Body)
	}
	if answer = server.Do("GET", path, "", "Accept", "application/vnd.kubernetes.protobuf"); answer.Code != 406 {
		t.Errorf("protobuf: %d %s", answer.Code, answer.Body)
	}
}

// TestDefaultsFromStorage adds a default to a definition and reads what was there before, by a watch that lives through it.
//
// conformance: Custom Resource Definition, defaulting
func TestDefaultsFromStorage(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	set := server.InProcess("admin", "system:masters")
	const group = "defaults.example.com"
	define(t, set, widgets(group, `{type: object, properties: {a: {type: string}, b: {type: string}}}`))
	path := widgetsPath(group)
	server.Do("POST", path, widget(group, "old", `{}`))
	objects := set.Dynamic.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: "widgets"}).Namespace("default")
	list, err := objects.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := objects.Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	const at = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/"
	redefine(t, server, "widgets."+group, `[{"op":"add","path":"`+at+`a/default","value":"A"}]`)
	if event, open := <-before.ResultChan(); open {
		t.Errorf("the change of the definition sent %v", event)
	}
	if answer := server.Do("GET", path+"/old", ""); !strings.Contains(answer.Body, `"spec":{"a":"A"}`) {
		t.Errorf("read with a new default: %s", answer.Body)
	}
	server.Do("POST", path, widget(group, "new", `{}`))
	resumed, err := objects.Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	defer resumed.Stop()
	expectCustom(t, resumed, watch.Added, "new")
	redefine(t, server, "widgets."+group, `[{"op":"remove","path":"`+at+`a/default"},{"op":"add","path":"`+at+`b/default","value":"B"}]`)
	if answer := server.Do("GET", path+"/old", ""); !strings.Contains(answer.Body, `"spec":{"b":"B"}`) {
		t.Errorf("an object that was never written with the default has it: %s", answer.Body)
	}
	if answer := server.Do("GET", path+"/new", ""); !strings.Contains(answer.Body, `"spec":{"a":"A","b":"B"}`) {
		t.Errorf("an object lost its default: %s", answer.Body)
	}
}

// TestNamesAreGivenOnce makes definitions that want each other's names.
func TestNamesAreGivenOnce(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	set := server.InProcess("admin", "system:masters")
	first := define(t, set, widgets("names.example.com", `{type: object}`))
	for kind, c := range map[apiextensionsv1.CustomResourceDefinitionConditionType][2]string{
		apiextensionsv1.NamesAccepted: {"NoConflicts", "no conflicts found"}, apiextensionsv1.Established: {"InitialNamesAccepted", "the initial names have been accepted"},
	} {
		for _, got := range first.Status.Conditions {
			if got.Type == kind && (got.Reason != c[0] || got.Message != c[1]) {
				t.Errorf("condition: %+v", got)
			}
		}
	}
	second := strings.Replace(strings.ReplaceAll(widgets("names.example.com", `{type: object}`), "plural: widgets, singular: widget, kind: Widget", "plural: gadgets, singular: widget, kind: Widget, listKind: GadgetList"), "widgets.names", "gadgets.names", 1)
	made, err := set.Dynamic.Resource(crds).Create(t.Context(), object(t, parse(t, second)), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	refused := awaitDefinition(t, set, made, func(c *apiextensionsv1.CustomResourceDefinition) bool {
		return hasCondition(c, apiextensionsv1.NamesAccepted, apiextensionsv1.ConditionFalse)
	})
	for _, c := range refused.Status.Conditions {
		if c.Type == apiextensionsv1.NamesAccepted && (c.Reason != "KindConflict" || c.Message != `"Widget" is already in use`) ||
			c.Type == apiextensionsv1.Established && (c.Status != apiextensionsv1.ConditionFalse || c.Reason != "NotAccepted" || c.Message != "not all names are accepted") {
			t.Errorf("condition: %+v", c)
		}
	}
	if answer := server.Do("GET", "/apis/names.example.com/v1/gadgets", ""); answer.Code != 404 {
		t.Errorf("a resource without a name is served: %d", answer.Code)
	}
	undefine(t, set, "widgets.names.example.com")
	awaitDefinition(t, set, made, func(c *apiextensionsv1.CustomResourceDefinition) bool {
		return hasCondition(c, apiextensionsv1.Established, apiextensionsv1.ConditionTrue)
	})
	if answer := server.Do("GET", "/apis/names.example.com/v1/gadgets", ""); answer.Code != 200 {
		t.Errorf("with its name it is not served: %d %s", answer.Code, answer.Body)
	}
}

// TestDefinitionsOutliveTheServer restarts the server, and holds the end of a definition up by an object's finalizer.
func TestDefinitionsOutliveTheServer(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	const group = "lasting.example.com"
	define(t, server.InProcess("admin", "system:masters"), widgets(group, `{type: object}`))
	held := `{"apiVersion":"lasting.example.com/v1","kind":"Widget","metadata":{"name":"held","finalizers":["example.com/wait"]}}`
	if answer := server.Do("POST", widgetsPath(group), held); answer.Code != 201 {
		t.Fatal(answer.Body)
	}
	server.Restart()
	if answer := server.Do("GET", widgetsPath(group)+"/held", ""); answer.Code != 200 {
		t.Fatalf("after a restart: %d %s", answer.Code, answer.Body)
	}
	set := server.InProcess("admin", "system:masters")
	watcher, err := set.Dynamic.Resource(crds).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	if err := set.Dynamic.Resource(crds).Delete(t.Context(), "widgets."+group, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		return strings.Contains(server.Do("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets."+group, "").Body, "InstanceDeletionInProgress")
	})
	if answer := server.Do("POST", widgetsPath(group), widget(group, "late", `{}`)); answer.Code != 403 || !strings.Contains(answer.Body, "create not allowed while custom resource definition is terminating") {
		t.Errorf("created while the definition goes: %d %s", answer.Code, answer.Body)
	}
	if answer := server.Do("PATCH", widgetsPath(group)+"/held", `{"metadata":{"finalizers":null}}`, "Content-Type", merge); answer.Code != 200 {
		t.Fatal(answer.Body)
	}
	for event := range watcher.ResultChan() {
		if event.Type == watch.Deleted {
			return
		}
	}
	t.Error("the definition never went")
}
