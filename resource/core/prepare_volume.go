package core

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

func prepareClaim(_ *resource.Request, claim *corev1.PersistentVolumeClaim) {
	claim.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
	dropDataSources(&claim.Spec, &corev1.PersistentVolumeClaimSpec{})
	sameDataSource(&claim.Spec)
}

// dropDataSources drops what upstream drops, of claims that have not had it: a source in another namespace, which takes a feature that is
// not turned on by itself, and what cannot be a source where only the older field is set, whose readers never said that it is wrong.
func dropDataSources(spec, old *corev1.PersistentVolumeClaimSpec) {
	if ref := spec.DataSourceRef; ref != nil && ptr.Deref(ref.Namespace, "") != "" && old.DataSourceRef == nil {
		spec.DataSourceRef = nil
	}
	if old.DataSource == nil && old.DataSourceRef == nil && spec.DataSourceRef == nil && !claimOrSnapshot(spec.DataSource) {
		spec.DataSource = nil
	}
}

func claimOrSnapshot(source *corev1.TypedLocalObjectReference) bool {
	if source == nil {
		return false
	}
	group := ptr.Deref(source.APIGroup, "")
	return source.Kind == "PersistentVolumeClaim" && group == "" || source.Kind == "VolumeSnapshot" && group == "snapshot.storage.k8s.io"
}

func prepareClaimUpdate(_ *resource.Request, claim, old *corev1.PersistentVolumeClaim) {
	dropDataSources(&claim.Spec, &old.Spec)
	sameDataSource(&claim.Spec) // clients that know only one of the two fields send it back alone
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
