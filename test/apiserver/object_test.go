package apiserver

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func webDeployment() *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	three := int32(3)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &three, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
			},
		},
	}
}

// TestStatusAndSpecAreApart shows that each is written at its own path only, and what counts as a new generation.
func TestStatusAndSpecAreApart(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	set := s.Client().AppsV1().Deployments("default")
	wanted := webDeployment()
	wanted.Status.Replicas = 7
	made, err := set.Create(t.Context(), wanted, metav1.CreateOptions{})
	if err != nil || made.Status.Replicas != 0 || made.Generation != 1 {
		t.Fatalf("%v: status %d, generation %d", err, made.Status.Replicas, made.Generation)
	}
	made.Status.Replicas, made.Spec.Paused = 3, true
	made.Labels = map[string]string{"l": "v"}
	status, err := set.UpdateStatus(t.Context(), made, metav1.UpdateOptions{FieldManager: "controller"})
	if err != nil || status.Status.Replicas != 3 || status.Spec.Paused || status.Generation != 1 || len(status.Labels) != 0 {
		t.Fatalf("%v: %+v", err, status)
	}
	status.Status.Replicas, status.Spec.Paused = 9, true
	updated, err := set.Update(t.Context(), status, metav1.UpdateOptions{})
	if err != nil || updated.Status.Replicas != 3 || !updated.Spec.Paused || updated.Generation != 2 {
		t.Fatalf("%v: %+v", err, updated)
	}
	updated.Labels = map[string]string{"a": "b"}
	labelled, err := set.Update(t.Context(), updated, metav1.UpdateOptions{})
	if err != nil || labelled.Generation != 2 {
		t.Fatalf("%v: a label made generation %d", err, labelled.Generation)
	}
	owners := map[string]string{}
	for _, entry := range labelled.ManagedFields {
		owners[entry.Manager+"/"+entry.Subresource] = entry.FieldsV1.GetRawString()
	}
	if owners["controller/status"] != `{"f:status":{"f:replicas":{}}}` || strings.Contains(owners["admin/"], "f:status") {
		t.Errorf("owners: %v", owners)
	}
	changed := labelled.DeepCopy()
	changed.Spec.Selector.MatchLabels = map[string]string{"app": "other"}
	if _, err := set.Update(t.Context(), changed, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "field is immutable") {
		t.Errorf("an immutable field changed: %v", err)
	}
}

// TestScaleIsAViewOfReplicas reads, writes, patches and applies it.
//
// conformance: Deployment, completes the scaling of a Deployment subresource
func TestScaleIsAViewOfReplicas(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	set := s.Client().AppsV1().Deployments("default")
	if _, err := set.Create(t.Context(), webDeployment(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	scale, err := set.GetScale(t.Context(), "web", metav1.GetOptions{})
	if err != nil || scale.Spec.Replicas != 3 || scale.Status.Selector != "app=web" || scale.UID == "" {
		t.Fatalf("%v: %+v", err, scale)
	}
	scale.Spec.Replicas = 5
	if scale, err = set.UpdateScale(t.Context(), "web", scale, metav1.UpdateOptions{}); err != nil || scale.Spec.Replicas != 5 {
		t.Fatalf("%v: %+v", err, scale)
	}
	const path = "/apis/apps/v1/namespaces/default/deployments/web/scale"
	if a := s.Do("PATCH", path, `{"spec":{"replicas":6}}`, "Content-Type", merge); a.Code != 200 || a.Object(t)["kind"] != "Scale" {
		t.Fatalf("patch: %d %s", a.Code, a.Body)
	}
	if a := s.Do("PATCH", path, `{"spec":{"replicas":-1}}`, "Content-Type", merge); a.Code != 422 || !strings.Contains(a.Body, "must be greater than or equal to 0") {
		t.Errorf("a negative number: %d %s", a.Code, a.Body)
	}
	body := "apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {name: web}\nspec: {replicas: 7}\n"
	if a := s.Do("PATCH", path+"?fieldManager=m", body, "Content-Type", apply); a.Code != 409 {
		t.Errorf("no conflict: %d %s", a.Code, a.Body)
	}
	if a := s.Do("PATCH", path+"?fieldManager=m&force=true", body, "Content-Type", apply); a.Code != 200 {
		t.Errorf("apply: %d %s", a.Code, a.Body)
	}
	deployment, err := set.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || *deployment.Spec.Replicas != 7 || deployment.Generation != 4 {
		t.Fatalf("%v: %d replicas, generation %d", err, *deployment.Spec.Replicas, deployment.Generation)
	}
}

// TestOneObjectInTwoVersions writes an autoscaler in one version and reads it in the other.
func TestOneObjectInTwoVersions(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	set := s.Client()
	percent := int32(70)
	made, err := set.AutoscalingV1().HorizontalPodAutoscalers("default").Create(t.Context(), &autoscalingv1.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "a"},
		Spec: autoscalingv1.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv1.CrossVersionObjectReference{Kind: "Deployment", Name: "web", APIVersion: "apps/v1"},
			MaxReplicas:    5, TargetCPUUtilizationPercentage: &percent,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v2, err := set.AutoscalingV2().HorizontalPodAutoscalers("default").Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || v2.UID != made.UID || len(v2.Spec.Metrics) != 1 || *v2.Spec.Metrics[0].Resource.Target.AverageUtilization != 70 {
		t.Fatalf("%v: %+v", err, v2)
	}
	v2.Spec.MaxReplicas = 9
	if _, err := set.AutoscalingV2().HorizontalPodAutoscalers("default").Update(t.Context(), v2, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	v1, err := set.AutoscalingV1().HorizontalPodAutoscalers("default").Patch(t.Context(), "a", types.MergePatchType, []byte(`{"metadata":{"labels":{"l":"v"}}}`), metav1.PatchOptions{})
	if err != nil || v1.Spec.MaxReplicas != 9 || v1.Labels["l"] != "v" || *v1.Spec.TargetCPUUtilizationPercentage != 70 {
		t.Fatalf("%v: %+v", err, v1)
	}
	v1.Spec.MaxReplicas = 11
	dry := []string{metav1.DryRunAll}
	if tried, err := set.AutoscalingV1().HorizontalPodAutoscalers("default").Update(t.Context(), v1, metav1.UpdateOptions{DryRun: dry}); err != nil || tried.Spec.MaxReplicas != 11 {
		t.Fatalf("dry update: %v: %+v", err, tried)
	}
	made.Name, made.ResourceVersion, made.UID = "b", "", ""
	if tried, err := set.AutoscalingV1().HorizontalPodAutoscalers("default").Create(t.Context(), made, metav1.CreateOptions{DryRun: dry}); err != nil || tried.Spec.MaxReplicas != 5 {
		t.Fatalf("dry create: %v: %+v", err, tried)
	}
	list, err := set.AutoscalingV1().HorizontalPodAutoscalers("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Spec.MaxReplicas != 9 {
		t.Fatalf("%v: %+v", err, list)
	}
}

// TestPagesShowOneMoment lists in pages while objects come and go.
//
// conformance: API Chunking, server should return chunks of results for list calls
func TestPagesShowOneMoment(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	for i := range 7 {
		s.Do("POST", maps, fmt.Sprintf(`{"metadata":{"name":"c%d"}}`, i))
	}
	set := s.Client().CoreV1().ConfigMaps("default")
	var names []string
	options := metav1.ListOptions{Limit: 3}
	revision := ""
	for {
		page, err := set.List(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		if revision == "" {
			revision = page.ResourceVersion
			if page.RemainingItemCount == nil || *page.RemainingItemCount != 4 {
				t.Errorf("remaining: %v", page.RemainingItemCount)
			}
			s.Do("POST", maps, `{"metadata":{"name":"c9"}}`)
			s.Do("DELETE", maps+"/c5", "")
		}
		if page.ResourceVersion != revision {
			t.Errorf("a page of another moment: %s, then %s", revision, page.ResourceVersion)
		}
		for i := range page.Items {
			names = append(names, page.Items[i].Name)
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "c0 c1 c2 c3 c4 c5 c6" {
		t.Errorf("pages: %s", got)
	}
}

// TestALongAnswerIsCompressed where the client takes that.
func TestALongAnswerIsCompressed(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	for i := range 3 {
		s.Do("POST", maps, fmt.Sprintf(`{"metadata":{"name":"c%d"},"data":{"k":"%s"}}`, i, strings.Repeat("text ", 20000)))
	}
	a := s.Do("GET", maps, "", "Accept-Encoding", "gzip")
	if a.Header.Get("Content-Encoding") != "gzip" || len(a.Body) > 100_000 {
		t.Fatalf("%s, %d bytes", a.Header.Get("Content-Encoding"), len(a.Body))
	}
	z, err := gzip.NewReader(strings.NewReader(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	var list corev1.ConfigMapList
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil || len(list.Items) != 3 {
		t.Errorf("%v, %d items", err, len(list.Items))
	}
	if plain := s.Do("GET", maps+"/c0", "", "Accept-Encoding", "gzip"); plain.Header.Get("Content-Encoding") != "" {
		t.Error("a short answer was compressed")
	}
	long := s.Do("POST", maps, fmt.Sprintf(`{"metadata":{"name":"huge"},"data":{"k":"%s"}}`, strings.Repeat("x", 4<<20)))
	if long.Code != 413 {
		t.Errorf("a body of 4 MiB: %d", long.Code)
	}
}

// TestWhoMayNotIsTold who, what, where; and who acts as another needs leave for each part.
func TestWhoMayNotIsTold(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	alice := s.Clients(s.As("alice", "people"))
	_, err := alice.CoreV1().Secrets("default").List(context.Background(), metav1.ListOptions{})
	if want := `secrets is forbidden: User "alice" cannot list resource "secrets" in API group "" in the namespace "default"`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	config := s.Admin()
	config.Impersonate.UserName, config.Impersonate.Groups = "bob", []string{"people"}
	_, err = s.Clients(config).AppsV1().Deployments("").List(context.Background(), metav1.ListOptions{})
	if want := `deployments.apps is forbidden: User "bob" cannot list resource "deployments" in API group "apps" at the cluster scope`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	config = s.As("alice")
	config.Impersonate.UserName = "bob"
	_, err = s.Clients(config).CoreV1().Pods("").List(context.Background(), metav1.ListOptions{})
	if want := `pods is forbidden: User "alice" cannot impersonate-on:user-info:list resource "pods" in API group "" at the cluster scope`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestTheJournalTellsWhoWroteWhat for each write, and nothing of what was written.
func TestTheJournalTellsWhoWroteWhat(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("default")
	s.Do("POST", "/api/v1/namespaces/default/secrets", `{"metadata":{"name":"s"},"stringData":{"password":"hidden"}}`)
	s.Do("PATCH", "/api/v1/namespaces/default/secrets/s", `{"metadata":{"labels":{"a":"b"}}}`, "Content-Type", merge)
	a := s.Do("GET", "/debug/journal?kind=Secret&name=s", "")
	var records []map[string]any
	if err := json.Unmarshal([]byte(a.Body), &records); err != nil || len(records) != 2 {
		t.Fatalf("%v: %s", err, a.Body)
	}
	if records[0]["step"] != "create" || records[1]["step"] != "patch" || records[1]["saw"] != records[0]["made"] || !strings.Contains(records[0]["note"].(string), "user admin") {
		t.Errorf("records: %v", records)
	}
	if strings.Contains(a.Body, "hidden") {
		t.Error("a secret is in the journal")
	}
}
