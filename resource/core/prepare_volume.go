package core

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

func prepareClaim(_ *resource.Request, claim *corev1.PersistentVolumeClaim) {
	claim.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
	sameDataSource(&claim.Spec)
}

func prepareClaimUpdate(_ *resource.Request, claim, old *corev1.PersistentVolumeClaim) {
	// Clients that know only one of the two fields send it back alone.
	if claim.Spec.DataSource == nil && old.Spec.DataSource != nil || claim.Spec.DataSourceRef == nil && old.Spec.DataSourceRef != nil {
		sameDataSource(&claim.Spec)
	}
}

func prepareClaimStatus(_ *resource.Request, claim, old *corev1.PersistentVolumeClaim) {
	claim.Spec = old.Spec
}

func preparePersistentVolume(r *resource.Request, volume *corev1.PersistentVolume) {
	now := metav1.NewTime(r.Now)
	volume.Status = corev1.PersistentVolumeStatus{Phase: corev1.VolumePending, LastPhaseTransitionTime: &now}
}

// preparePersistentVolumeStatus notes when the phase changed, unless the writer says so itself.
func preparePersistentVolumeStatus(r *resource.Request, volume, old *corev1.PersistentVolume) {
	volume.Spec = old.Spec
	now, before := &volume.Status, &old.Status
	switch {
	case now.Phase == before.Phase:
		if now.LastPhaseTransitionTime == nil {
			now.LastPhaseTransitionTime = before.LastPhaseTransitionTime
		}
	case now.LastPhaseTransitionTime == nil || now.LastPhaseTransitionTime.Equal(before.LastPhaseTransitionTime):
		at := metav1.NewTime(r.Now)
		now.LastPhaseTransitionTime = &at
	}
}

// bareSecrets keeps of a service account's references to secrets only their names, which is all that they mean.
func bareSecrets(account *corev1.ServiceAccount) {
	for i, secret := range account.Secrets {
		account.Secrets[i] = corev1.ObjectReference{Name: secret.Name}
	}
}
