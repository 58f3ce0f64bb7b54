package deployment_test

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
	"github.com/septet-io/septet/controllers/deployment"
	"github.com/septet-io/septet/controllers/replicaset"
)

func web(replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Annotations: map[string]string{"note": "kept"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			RevisionHistoryLimit: ptr.To[int32](10), ProgressDeadlineSeconds: ptr.To[int32](600),
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxSurge: ptr.To(intstr.FromString("25%")), MaxUnavailable: ptr.To(intstr.FromString("25%")),
				},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
			},
		},
	}
}

// TestLife follows a Deployment through creation, an update, a rollback and a new size, with real ReplicaSets below it
// and Pods that become ready as soon as they are there.
//
// conformance: Deployment RollingUpdate
func TestLife(t *testing.T) {
	t.Parallel()
	w := controltest.New(t)
	w.Run(
		w.Must(deployment.New(w.Set, w.Events, 2)),
		w.Must(replicaset.New(w.Set, w.Events, 2)),
		w.Kubelet(),
	)
	ctx := context.Background()
	api := w.AppsV1().Deployments("default")
	if _, err := api.Create(ctx, web(3), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	settled := func(revision string, replicas int32, image string) {
		t.Helper()
		w.Eventually(func() string {
			d, err := api.Get(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			s := d.Status
			if d.Annotations[deployment.RevisionAnnotation] != revision || s.UpdatedReplicas != replicas || s.Replicas != replicas || s.AvailableReplicas != replicas {
				return fmt.Sprintf("revision %s, status %+v", d.Annotations[deployment.RevisionAnnotation], s)
			}
			for _, c := range s.Conditions {
				if c.Type == appsv1.DeploymentProgressing && c.Reason != "NewReplicaSetAvailable" {
					return "Progressing: " + c.Reason
				}
			}
			pods, err := w.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
			if err != nil || len(pods.Items) != int(replicas) {
				return fmt.Sprintf("%d pods, %v", len(pods.Items), err)
			}
			for _, pod := range pods.Items {
				if pod.Spec.Containers[0].Image != image {
					return "an old pod " + pod.Name
				}
			}
			return ""
		})
	}
	change := func(edit func(*appsv1.Deployment)) {
		t.Helper()
		w.Eventually(func() string {
			d, err := api.Get(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			edit(d)
			if _, err := api.Update(ctx, d, metav1.UpdateOptions{}); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	settled("1", 3, "web:1")
	change(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "web:2" })
	settled("2", 3, "web:2")
	change(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "web:1" })
	settled("3", 3, "web:1")
	change(func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](5) })
	settled("3", 5, "web:1")

	sets, err := w.AppsV1().ReplicaSets("default").List(ctx, metav1.ListOptions{})
	if err != nil || len(sets.Items) != 2 {
		t.Fatalf("%d replica sets, %v; want the two that were ever asked for", len(sets.Items), err)
	}
	for _, rs := range sets.Items {
		if rs.Annotations["note"] != "kept" || rs.Labels["pod-template-hash"] == "" || rs.Name != "web-"+rs.Labels["pod-template-hash"] {
			t.Errorf("replica set %s: labels %v, annotations %v", rs.Name, rs.Labels, rs.Annotations)
		}
		if *rs.Spec.Replicas == 5 && rs.Annotations[deployment.HistoryAnnotation] != "1" {
			t.Errorf("the set rolled back to forgot its history: %v", rs.Annotations)
		}
	}
}
