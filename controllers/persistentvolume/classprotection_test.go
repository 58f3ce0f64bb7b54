package persistentvolume

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
)

// A class that is being deleted stays as long as a claim wants it, and goes with the last one.
func TestAClassStaysWhileAClaimHasIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	deleted := func(name string) *storagev1.VolumeAttributesClass {
		now := metav1.NewTime(time.Now())
		return &storagev1.VolumeAttributesClass{ObjectMeta: metav1.ObjectMeta{Name: name, DeletionTimestamp: &now, Finalizers: []string{classFinalizer, "other"}}}
	}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "c"}}
	claim.Spec.VolumeAttributesClassName = ptr.To("gold")
	w := controltest.New(t, deleted("gold"), deleted("unused"), &storagev1.VolumeAttributesClass{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, claim)
	w.Run(w.Must(NewClassProtection(w.Set)))
	held := func(name string) bool {
		class, err := w.StorageV1().VolumeAttributesClasses().Get(ctx, name, metav1.GetOptions{})
		return err == nil && slices.Contains(class.Finalizers, classFinalizer)
	}
	w.Eventually(func() string {
		if !held("new") || held("unused") {
			return "the new class is not held, or the unused one is"
		}
		return ""
	})
	if !held("gold") {
		t.Error("a class in use is not held")
	}
	if err := w.CoreV1().PersistentVolumeClaims("default").Delete(ctx, "c", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() string {
		if held("gold") {
			return "the class is held by nothing"
		}
		return ""
	})
}

func TestClassesOfAClaim(t *testing.T) {
	t.Parallel()
	claim := &corev1.PersistentVolumeClaim{}
	claim.Spec.VolumeAttributesClassName = ptr.To("wanted")
	claim.Status.CurrentVolumeAttributesClassName = ptr.To("had")
	claim.Status.ModifyVolumeStatus = &corev1.ModifyVolumeStatus{TargetVolumeAttributesClassName: "coming"}
	if got := classesOfClaim(claim); !slices.Equal(got, []string{"wanted", "had", "coming"}) {
		t.Errorf("%v", got)
	}
}
