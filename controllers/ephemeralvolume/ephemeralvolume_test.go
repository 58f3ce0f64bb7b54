package ephemeralvolume

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
)

func podWithScratch() *corev1.Pod {
	template := &corev1.PersistentVolumeClaimTemplate{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"kind": "scratch"}},
		Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: ptr.To("fast")},
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "pod-1"},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{
			{Name: "plain", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: template}}},
		}},
	}
}

func TestClaimIsMadeAndMadeAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := controltest.New(t, podWithScratch())
	w.Run(w.Must(New(w.Set, w.Events, 1)))
	claims := w.CoreV1().PersistentVolumeClaims("default")
	made := func() string {
		all, err := claims.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		if len(all.Items) != 1 {
			return "not one claim"
		}
		claim := all.Items[0]
		if claim.Name != "web-scratch" || claim.Labels["kind"] != "scratch" || *claim.Spec.StorageClassName != "fast" {
			return "not made from the template: " + claim.String()
		}
		owner := metav1.GetControllerOf(&claim)
		if owner == nil || owner.UID != "pod-1" || owner.Kind != "Pod" || !*owner.BlockOwnerDeletion {
			return "not the Pod's"
		}
		return ""
	}
	w.Eventually(made)
	if err := claims.Delete(ctx, "web-scratch", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(made)
}

func TestSomebodyElsesClaimIsNotUsed(t *testing.T) {
	t.Parallel()
	other := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-scratch"}}
	w := controltest.New(t, podWithScratch(), other)
	w.Run(w.Must(New(w.Set, w.Events, 1)))
	w.Told("Warning FailedBinding ephemeral volume scratch: PVC default/web-scratch was not created for pod default/web (pod is not owner)")
}
