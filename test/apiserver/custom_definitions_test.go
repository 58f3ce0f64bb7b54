package apiserver

import (
	"fmt"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// TestDefinitionsAreObjects watches, lists, patches and deletes definitions, and reads of them in discovery.
//
// conformance: Custom Resource Definition, watch
// conformance: Custom Resource Definition, list
// conformance: Custom Resource Definition, status sub-resource
// conformance: Custom Resource Definition, discovery
func TestDefinitionsAreObjects(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	set := server.Client()
	ctx := t.Context()
	definitions := set.Dynamic.Resource(crds)
	watcher, err := definitions.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	for i := range 3 {
		crd := parse(t, widgets(fmt.Sprintf("g%d.example.com", i), `{type: object}`))
		if i < 2 {
			crd.Labels = map[string]string{"few": "two"}
		}
		if _, err := definitions.Create(ctx, object(t, crd), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[watch.EventType]int{}
	for seen[watch.Added] < 3 || seen[watch.Modified] < 3 {
		event := <-watcher.ResultChan()
		seen[event.Type]++
	}
	list, err := definitions.List(ctx, metav1.ListOptions{LabelSelector: "few=two"})
	if err != nil || len(list.Items) != 2 {
		t.Fatalf("list: %v, %d", err, len(list.Items))
	}
	patched, err := definitions.Patch(ctx, "widgets.g2.example.com", "application/merge-patch+json",
		[]byte(`{"status":{"conditions":[{"type":"Mine","status":"True","reason":"R","message":"M"}]}}`), metav1.PatchOptions{}, "status")
	if err != nil || !hasCondition(definition(t, patched), "Mine", apiextensionsv1.ConditionTrue) {
		t.Errorf("patch of the status: %v", err)
	}
	// It took the server's own conditions away; they come back.
	awaitDefinition(t, set, patched, func(c *apiextensionsv1.CustomResourceDefinition) bool {
		return hasCondition(c, apiextensionsv1.Established, apiextensionsv1.ConditionTrue)
	})
	got, err := definitions.Get(ctx, "widgets.g2.example.com", metav1.GetOptions{}, "status")
	if err != nil || got.GetName() != "widgets.g2.example.com" {
		t.Errorf("status: %v", err)
	}
	for _, entry := range got.GetManagedFields() {
		if entry.Manager == "kube-apiserver" && entry.Subresource != "status" {
			t.Errorf("managed fields: %+v", entry)
		}
	}
	if err := definitions.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "few=two"}); err != nil {
		t.Fatal(err)
	}
	for seen[watch.Deleted] < 2 {
		event := <-watcher.ResultChan()
		seen[event.Type]++
	}
	for path, words := range map[string][]string{
		"/apis":                         {`"name":"apiextensions.k8s.io"`, `"name":"g2.example.com"`},
		"/apis/apiextensions.k8s.io":    {`"groupVersion":"apiextensions.k8s.io/v1"`},
		"/apis/apiextensions.k8s.io/v1": {`"name":"customresourcedefinitions"`},
		"/apis/g2.example.com/v1":       {`"name":"widgets"`, `"kind":"Widget"`, `"storageVersionHash":"`},
	} {
		answer := server.Do("GET", path, "")
		for _, word := range words {
			if !strings.Contains(answer.Body, word) {
				t.Errorf("%s: no %s in %s", path, word, answer.Body)
			}
		}
	}
	answer := server.Do("GET", "/apis", "", "Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
	if !strings.Contains(answer.Body, `"g2.example.com"`) || strings.Contains(answer.Body, `"g0.example.com"`) {
		t.Errorf("aggregated discovery: %s", answer.Body)
	}
	apply := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition" + widgets("g9.example.com", `{type: object, properties: {a: {type: string, format: unheard-of}}}`)
	answer = server.Do("PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.g9.example.com?fieldManager=me", apply, "Content-Type", "application/apply-patch+yaml")
	if answer.Code != 201 || !strings.Contains(answer.Header.Get("Warning"), `unrecognized format \"unheard-of\"`) {
		t.Errorf("applied: %d %q %s", answer.Code, answer.Header["Warning"], answer.Body)
	}
}

// BenchmarkCreate compares a custom resource with a built-in one of about the same size.
func BenchmarkCreateCustom(b *testing.B) {
	server := StartComplete(b)
	server.Namespace("default")
	set := server.InProcess("admin", "system:masters")
	made, err := set.Dynamic.Resource(crds).Create(b.Context(), object(b, parse(b, crontabs)), metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	awaitDefinition(b, set, made, func(c *apiextensionsv1.CustomResourceDefinition) bool {
		return hasCondition(c, apiextensionsv1.Established, apiextensionsv1.ConditionTrue)
	})
	for name, one := range map[string]struct{ path, body string }{
		"CronTab":   {"/apis/stable.example.com/v1/namespaces/default/crontabs", `{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"generateName":"a-"},"spec":{"cronSpec":"@daily","replicas":3}}`},
		"ConfigMap": {maps, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"a-"},"data":{"cronSpec":"@daily","replicas":"3"}}`},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if answer := server.Do("POST", one.path, one.body); answer.Code != 201 {
					b.Fatal(answer.Body)
				}
			}
		})
	}
}
