package apiserver

import (
	"context"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/client"
)

// crds are the definitions as the API has them.
var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// define creates a definition from YAML and waits until it is established.
func define(t *testing.T, set *client.Set, text string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	crd := parse(t, text)
	ctx := t.Context()
	made, err := set.Dynamic.Resource(crds).Create(ctx, object(t, crd), metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("definition: %v", err)
	}
	return awaitDefinition(t, set, made, func(c *apiextensionsv1.CustomResourceDefinition) bool {
		return hasCondition(c, apiextensionsv1.Established, apiextensionsv1.ConditionTrue)
	})
}

func parse(t testing.TB, text string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict([]byte(text), crd); err != nil {
		t.Fatalf("definition: %v\n%s", err, text)
	}
	crd.TypeMeta = metav1.TypeMeta{Kind: "CustomResourceDefinition", APIVersion: "apiextensions.k8s.io/v1"}
	return crd
}

// object is a definition as the dynamic client takes it.
func object(t testing.TB, crd *apiextensionsv1.CustomResourceDefinition) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(crd)
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: content}
}

func definition(t testing.TB, u *unstructured.Unstructured) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

func hasCondition(crd *apiextensionsv1.CustomResourceDefinition, kind apiextensionsv1.CustomResourceDefinitionConditionType, status apiextensionsv1.ConditionStatus) bool {
	for _, c := range crd.Status.Conditions {
		if c.Type == kind {
			return c.Status == status
		}
	}
	return false
}

// awaitDefinition waits until a definition is as wanted.
func awaitDefinition(t testing.TB, set *client.Set, made *unstructured.Unstructured, wanted func(*apiextensionsv1.CustomResourceDefinition) bool) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	watcher, err := set.Dynamic.Resource(crds).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + made.GetName()})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		if event.Type == watch.Deleted {
			continue
		}
		if crd := definition(t, event.Object.(*unstructured.Unstructured)); wanted(crd) {
			return crd
		}
	}
	t.Fatalf("%s never came to be as wanted", made.GetName())
	return nil
}

const crontabs = `
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [cronSpec]
            properties:
              cronSpec: {type: string}
              image: {type: string, default: busybox}
              replicas: {type: integer, minimum: 1}
`

func crontab(name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": map[string]any{"name": name}, "spec": spec,
	}}
}

// TestACustomResourcesLife makes a definition, takes an object of it through every verb, and takes the definition away again.
//
// conformance: Custom Resource Definition, create
func TestACustomResourcesLife(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	set := server.Client()
	server.Namespace("life")
	defined := define(t, set, crontabs)
	if defined.Status.AcceptedNames.ListKind != "CronTabList" || defined.Status.StoredVersions[0] != "v1" {
		t.Fatalf("status: %+v", defined.Status)
	}
	ctx := t.Context()
	resource := schema.GroupVersionResource{Group: "stable.example.com", Version: "v1", Resource: "crontabs"}
	tabs := set.Dynamic.Resource(resource).Namespace("life")
	watcher, err := tabs.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	made, err := tabs.Create(ctx, crontab("daily", map[string]any{"cronSpec": "@daily", "unknown": true}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spec := made.Object["spec"].(map[string]any)
	if made.GetUID() == "" || made.GetGeneration() != 1 || len(made.GetManagedFields()) != 1 {
		t.Errorf("metadata is not filled in: %v", made.Object["metadata"])
	}
	if spec["image"] != "busybox" || spec["unknown"] != nil {
		t.Errorf("spec is neither defaulted nor pruned: %v", spec)
	}
	expectCustom(t, watcher, watch.Added, "daily")
	if _, err := tabs.Create(ctx, crontab("wrong", map[string]any{"replicas": int64(0)}), metav1.CreateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), "spec.cronSpec: Required value") || !strings.Contains(err.Error(), "spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1") {
		t.Errorf("a wrong object: %v", err)
	}
	spec["replicas"] = int64(3)
	updated, err := tabs.Update(ctx, made, metav1.UpdateOptions{})
	if err != nil || updated.GetGeneration() != 2 {
		t.Fatalf("update: %v, generation %d", err, updated.GetGeneration())
	}
	expectCustom(t, watcher, watch.Modified, "daily")
	patched, err := tabs.Patch(ctx, "daily", "application/merge-patch+json", []byte(`{"spec":{"replicas":5}}`), metav1.PatchOptions{})
	if err != nil || patched.GetGeneration() != 3 {
		t.Fatalf("patch: %v", err)
	}
	expectCustom(t, watcher, watch.Modified, "daily")
	list, err := tabs.List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.GetKind() != "CronTabList" {
		t.Fatalf("list: %v, %d items of %s", err, len(list.Items), list.GetKind())
	}
	if got := etcdValue(t, server, "/registry/stable.example.com/crontabs/life/daily"); !strings.HasPrefix(got, `{"apiVersion":"stable.example.com/v1","kind":"CronTab",`) {
		t.Errorf("in etcd: %s", got)
	}
	found, err := set.Discovery().ServerResourcesForGroupVersion("stable.example.com/v1")
	if err != nil || len(found.APIResources) != 1 || found.APIResources[0].ShortNames[0] != "ct" {
		t.Fatalf("discovery: %v, %v", err, found)
	}
	if err := tabs.Delete(ctx, "daily", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expectCustom(t, watcher, watch.Deleted, "daily")

	if _, err := tabs.Create(ctx, crontab("left", map[string]any{"cronSpec": "@hourly"}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	undefine(t, set, "crontabs.stable.example.com")
	waitFor(t, func() bool {
		_, err := tabs.List(ctx, metav1.ListOptions{})
		return apierrors.IsNotFound(err)
	})
	if got := etcdValue(t, server, "/registry/stable.example.com/crontabs/life/left"); got != "" {
		t.Errorf("an object outlived its definition: %s", got)
	}
}

// undefine deletes a definition and waits until it is gone.
func undefine(t testing.TB, set *client.Set, name string) {
	t.Helper()
	watcher, err := set.Dynamic.Resource(crds).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	if err := set.Dynamic.Resource(crds).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for event := range watcher.ResultChan() {
		if event.Type == watch.Deleted {
			return
		}
	}
	t.Fatalf("%s is not gone", name)
}

func expectCustom(t testing.TB, watcher watch.Interface, kind watch.EventType, name string) *unstructured.Unstructured {
	t.Helper()
	event, open := <-watcher.ResultChan()
	if !open {
		t.Fatalf("the watch ended instead of telling %s %s", kind, name)
	}
	u, ok := event.Object.(*unstructured.Unstructured)
	if event.Type != kind || !ok || u.GetName() != name {
		t.Fatalf("got %s %v, want %s %s", event.Type, event.Object, kind, name)
	}
	return u
}

// etcdValue is what lies under a key; empty if there is none.
func etcdValue(t testing.TB, server *Server, key string) string {
	t.Helper()
	response, err := server.Etcd.Client().Get(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Kvs) == 0 {
		return ""
	}
	return string(response.Kvs[0].Value)
}
