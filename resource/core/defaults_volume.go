package core

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

const (
	defaultFileMode   = 0o644
	defaultISCSI      = "default"
	defaultRBDPool    = "rbd"
	defaultRBDUser    = "admin"
	defaultRBDKeyring = "/etc/ceph/keyring"
	tokenExpiry       = 60 * 60
)

// defaultVolume fills in the source of a pod's volume; one without any is an empty directory.
func defaultVolume(volume *corev1.Volume) {
	if volume.VolumeSource == (corev1.VolumeSource{}) {
		volume.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if v := volume.HostPath; v != nil {
		defaultHostPath(v)
	}
	if v := volume.Secret; v != nil {
		setIfNil(&v.DefaultMode, defaultFileMode)
	}
	if v := volume.ConfigMap; v != nil {
		setIfNil(&v.DefaultMode, defaultFileMode)
	}
	if v := volume.DownwardAPI; v != nil {
		setIfNil(&v.DefaultMode, defaultFileMode)
		defaultDownward(v.Items)
	}
	if v := volume.Projected; v != nil {
		defaultProjected(v)
	}
	if v := volume.ISCSI; v != nil {
		setIfEmpty(&v.ISCSIInterface, defaultISCSI)
	}
	if v := volume.RBD; v != nil {
		setIfEmpty(&v.RBDPool, defaultRBDPool)
		setIfEmpty(&v.RadosUser, defaultRBDUser)
		setIfEmpty(&v.Keyring, defaultRBDKeyring)
	}
	if v := volume.ScaleIO; v != nil {
		setIfEmpty(&v.StorageMode, "ThinProvisioned")
		setIfEmpty(&v.FSType, "xfs")
	}
	if v := volume.AzureDisk; v != nil {
		defaultAzureDisk(v)
	}
	if v := volume.Image; v != nil {
		setIfEmpty(&v.PullPolicy, pullPolicyOf(v.Reference))
	}
	if v := volume.Ephemeral; v != nil && v.VolumeClaimTemplate != nil {
		DefaultClaimSpec(&v.VolumeClaimTemplate.Spec)
	}
}

func defaultHostPath(v *corev1.HostPathVolumeSource) {
	setIfNil(&v.Type, corev1.HostPathUnset)
}

func defaultAzureDisk(v *corev1.AzureDiskVolumeSource) {
	setIfNil(&v.CachingMode, corev1.AzureDataDiskCachingReadWrite)
	setIfNil(&v.Kind, corev1.AzureSharedBlobDisk)
	setIfNil(&v.FSType, "ext4")
	setIfNil(&v.ReadOnly, false)
}

func defaultProjected(v *corev1.ProjectedVolumeSource) {
	setIfNil(&v.DefaultMode, defaultFileMode)
	for i := range v.Sources {
		source := &v.Sources[i]
		if source.DownwardAPI != nil {
			defaultDownward(source.DownwardAPI.Items)
		}
		if token := source.ServiceAccountToken; token != nil {
			setIfNil(&token.ExpirationSeconds, tokenExpiry)
		}
		if certificate := source.PodCertificate; certificate != nil {
			setIfNil(&certificate.MaxExpirationSeconds, 24*60*60)
		}
	}
}

func defaultDownward(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		defaultFieldRef(items[i].FieldRef)
	}
}

// defaultVolumeOfPV fills in the source of a PersistentVolume.
func defaultVolumeOfPV(source *corev1.PersistentVolumeSource) {
	if v := source.HostPath; v != nil {
		defaultHostPath(v)
	}
	if v := source.ISCSI; v != nil {
		setIfEmpty(&v.ISCSIInterface, defaultISCSI)
	}
	if v := source.RBD; v != nil {
		setIfEmpty(&v.RBDPool, defaultRBDPool)
		setIfEmpty(&v.RadosUser, defaultRBDUser)
		setIfEmpty(&v.Keyring, defaultRBDKeyring)
	}
	if v := source.ScaleIO; v != nil {
		setIfEmpty(&v.StorageMode, "ThinProvisioned")
		setIfEmpty(&v.FSType, "xfs")
	}
	if v := source.AzureDisk; v != nil {
		defaultAzureDisk(v)
	}
}

func setIfNil[T any](field **T, value T) {
	if *field == nil {
		*field = ptr.To(value)
	}
}

// countSet counts the pointers of a union that are set.
func countSet(union any) int {
	set := 0
	for _, field := range reflect.ValueOf(union).Fields() {
		if field.Kind() == reflect.Pointer && !field.IsNil() {
			set++
		}
	}
	return set
}
