package core

import corev1 "k8s.io/api/core/v1"

// DefaultClaim fills in a PersistentVolumeClaim, also one that a StatefulSet makes from its template.
func DefaultClaim(claim *corev1.PersistentVolumeClaim) {
	setIfEmpty(&claim.Status.Phase, corev1.ClaimPending)
	DefaultClaimSpec(&claim.Spec)
	roundResources(claim.Status.Capacity)
	roundResources(claim.Status.AllocatedResources)
}

// DefaultClaimSpec fills in what claims and templates of ephemeral volumes share. A reference to a data source is
// written to both of its fields when it can be expressed in the older one.
func DefaultClaimSpec(spec *corev1.PersistentVolumeClaimSpec) {
	setIfNil(&spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundResources(spec.Resources.Limits)
	roundResources(spec.Resources.Requests)
}

// sameDataSource copies dataSource to dataSourceRef or back, so that clients of either field see it.
func sameDataSource(spec *corev1.PersistentVolumeClaimSpec) {
	if spec.DataSource != nil && spec.DataSourceRef == nil {
		spec.DataSourceRef = &corev1.TypedObjectReference{
			APIGroup: spec.DataSource.APIGroup, Kind: spec.DataSource.Kind, Name: spec.DataSource.Name,
		}
		return
	}
	ref := spec.DataSourceRef
	if ref != nil && spec.DataSource == nil && (ref.Namespace == nil || *ref.Namespace == "") {
		spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: ref.APIGroup, Kind: ref.Kind, Name: ref.Name}
	}
}

func defaultPersistentVolume(volume *corev1.PersistentVolume) {
	setIfEmpty(&volume.Status.Phase, corev1.VolumePending)
	setIfEmpty(&volume.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	setIfNil(&volume.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundResources(volume.Spec.Capacity)
	defaultVolumeOfPV(&volume.Spec.PersistentVolumeSource)
}
