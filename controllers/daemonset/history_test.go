package daemonset_test

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
	"github.com/septet-io/septet/controllers/daemonset"
)

// TestATwinRevisionRollsNothing: somebody copies the current revision and touches the set. The copy becomes the
// current one, and the Pods are taken over rather than replaced.
func TestATwinRevisionRollsNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := controltest.New(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	w.Run(w.Must(daemonset.New(w.Set, w.Events, 1)), w.Kubelet())
	labels := map[string]string{"app": "logs"}
	_, err := w.AppsV1().DaemonSets("default").Create(ctx, &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "logs"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, RevisionHistoryLimit: ptr.To[int32](10),
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "logs", Image: "logs:1"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	w.Eventually(func() string {
		list, err := w.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 || list.Items[0].Status.Phase != corev1.PodRunning {
			return fmt.Sprintf("%d pods, %v", len(list.Items), err)
		}
		pod = list.Items[0]
		return ""
	})
	revisions := w.AppsV1().ControllerRevisions("default")
	list, err := revisions.List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d revisions, %v", len(list.Items), err)
	}
	twin := list.Items[0].DeepCopy()
	twin.Name, twin.UID, twin.Revision, twin.Labels = "logs-twin", "", 2, labels
	if _, err := revisions.Create(ctx, twin, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() string {
		// The set is touched again and again: the cache may not show the twin at first.
		set, err := w.AppsV1().DaemonSets("default").Get(ctx, "logs", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		metav1.SetMetaDataAnnotation(&set.ObjectMeta, "touched", set.Annotations["touched"]+"x")
		if _, err := w.AppsV1().DaemonSets("default").Update(ctx, set, metav1.UpdateOptions{}); err != nil {
			return err.Error()
		}
		list, err := revisions.List(ctx, metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 || list.Items[0].Name != "logs-twin" {
			return fmt.Sprintf("%d revisions, %v", len(list.Items), err)
		}
		same, err := w.CoreV1().Pods("default").Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil || same.UID != pod.UID || same.Labels["controller-revision-hash"] != "logs-twin" {
			return fmt.Sprintf("%v %v", same.Labels, err)
		}
		return ""
	})
}
