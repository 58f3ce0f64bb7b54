package apiserver

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func meta(t *testing.T, a Answer) map[string]any {
	t.Helper()
	if a.Code > 299 {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	m, ok := a.Object(t)["metadata"].(map[string]any)
	if !ok {
		t.Fatalf("no metadata: %s", a.Body)
	}
	return m
}

// TestAnObjectWithFinalizersWaits for those who put them there.
func TestAnObjectWithFinalizersWaits(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	s.Do("POST", maps, `{"metadata":{"name":"a","finalizers":["example.com/hold"]}}`)
	marked := meta(t, s.Do("DELETE", maps+"/a", ""))
	if marked["deletionTimestamp"] == nil || marked["deletionGracePeriodSeconds"] != 0.0 {
		t.Errorf("not marked: %v", marked)
	}
	again := meta(t, s.Do("DELETE", maps+"/a", ""))
	if again["resourceVersion"] != marked["resourceVersion"] || again["deletionTimestamp"] != marked["deletionTimestamp"] {
		t.Errorf("deleting again wrote: %v then %v", marked, again)
	}
	taken := s.Do("POST", maps, `{"metadata":{"name":"a"}}`)
	if status := taken.Status(t); status.Message != `object is being deleted: configmaps "a" already exists` {
		t.Errorf("create meanwhile: %s", status.Message)
	}
	late := s.Do("PATCH", maps+"/a", `{"metadata":{"finalizers":["example.com/hold","example.com/late"]}}`, "Content-Type", merge)
	if late.Code != 422 || !strings.Contains(late.Body, "no new finalizers can be added if the object is being deleted") {
		t.Errorf("a finalizer was added: %d %s", late.Code, late.Body)
	}
	if freed := s.Do("PATCH", maps+"/a", `{"metadata":{"finalizers":null}}`, "Content-Type", merge); freed.Code != 200 {
		t.Errorf("free: %d %s", freed.Code, freed.Body)
	}
	if gone := s.Do("GET", maps+"/a", ""); gone.Code != 404 {
		t.Errorf("still there: %s", gone.Body)
	}
}

// TestPropagationIsAFinalizer shows what each policy leaves for the garbage collector.
func TestPropagationIsAFinalizer(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	for policy, want := range map[string]any{"Orphan": "[orphan]", "Foreground": "[foregroundDeletion]", "Background": nil} {
		path := maps + "/" + strings.ToLower(policy)
		s.Do("POST", maps, fmt.Sprintf(`{"metadata":{"name":"%s"}}`, strings.ToLower(policy)))
		answer := s.Do("DELETE", path, fmt.Sprintf(`{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"%s"}`, policy))
		if want == nil {
			if status := answer.Status(t); status.Status != "Success" || status.Details.Kind != "configmaps" || status.Details.UID == "" {
				t.Errorf("%s: %+v", policy, status)
			}
			continue
		}
		if got := meta(t, answer)["finalizers"]; fmt.Sprint(got) != want {
			t.Errorf("%s: finalizers %v, want %v", policy, got, want)
		}
	}
	s.Do("POST", maps, `{"metadata":{"name":"query"}}`)
	if got := meta(t, s.Do("DELETE", maps+"/query?propagationPolicy=Orphan", ""))["finalizers"]; fmt.Sprint(got) != "[orphan]" {
		t.Errorf("policy in the query: %v", got)
	}
}

// TestAPodIsGivenTimeToEnd and only its kubelet, or force, ends it at once.
//
// conformance: Pods Generation, graceful delete
func TestAPodIsGivenTimeToEnd(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	set := s.Client()
	pod := samplePod("p")
	pod.Namespace, pod.Spec.NodeName = "default", "node"
	if _, err := set.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	marked := meta(t, s.Do("DELETE", pods+"/p", ""))
	if marked["deletionGracePeriodSeconds"] != 30.0 || marked["generation"] != 2.0 {
		t.Errorf("marked: %v", marked)
	}
	longer := meta(t, s.Do("DELETE", pods+"/p", `{"gracePeriodSeconds":60}`))
	if longer["deletionGracePeriodSeconds"] != 30.0 {
		t.Errorf("the time was made longer: %v", longer)
	}
	shorter := meta(t, s.Do("DELETE", pods+"/p", `{"gracePeriodSeconds":5}`))
	if shorter["deletionGracePeriodSeconds"] != 5.0 {
		t.Errorf("the time was not made shorter: %v", shorter)
	}
	if last := s.Do("DELETE", pods+"/p", `{"gracePeriodSeconds":0}`); last.Code != 200 || last.Object(t)["kind"] != "Pod" {
		t.Errorf("a deleted Pod is the answer: %d %s", last.Code, last.Body)
	}
	if gone := s.Do("GET", pods+"/p", ""); gone.Code != 404 {
		t.Errorf("still there: %s", gone.Body)
	}
}

// TestANamespaceWaitsUntilItIsEmptied by whoever takes its finalizer away.
func TestANamespaceWaitsUntilItIsEmptied(t *testing.T) {
	t.Parallel()
	s := Start(t)
	set := s.Client().CoreV1().Namespaces()
	made, err := set.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{})
	if err != nil || len(made.Spec.Finalizers) != 1 || made.Status.Phase != corev1.NamespaceActive || made.Labels[corev1.LabelMetadataName] != "n" {
		t.Fatalf("%v: %+v", err, made)
	}
	if err := set.Delete(t.Context(), "n", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	marked, err := set.Get(t.Context(), "n", metav1.GetOptions{})
	if err != nil || marked.Status.Phase != corev1.NamespaceTerminating || marked.DeletionTimestamp == nil {
		t.Fatalf("%v: %+v", err, marked)
	}
	marked.Spec.Finalizers = nil
	if _, err := set.Finalize(t.Context(), marked, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := set.Delete(t.Context(), "n", metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	if _, err := set.Get(t.Context(), "n", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("still there: %v", err)
	}
}

// TestACollectionIsDeletedBySelector and nothing else with it.
func TestACollectionIsDeletedBySelector(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	for i := range 12 {
		s.Do("POST", maps, fmt.Sprintf(`{"metadata":{"name":"c%d","labels":{"odd":"%d"}}}`, i, i%2))
	}
	answer := s.Do("DELETE", maps+"?labelSelector=odd%3D1", "")
	if items := answer.Object(t)["items"].([]any); answer.Code != 200 || len(items) != 6 {
		t.Errorf("%d: %d items", answer.Code, len(items))
	}
	if left := s.Do("GET", maps, "").Object(t)["items"].([]any); len(left) != 6 {
		t.Errorf("%d left", len(left))
	}
}
