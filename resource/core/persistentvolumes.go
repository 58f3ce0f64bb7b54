package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// PersistentVolumes is all that the server knows about PersistentVolumes.
func PersistentVolumes() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.PersistentVolume]{
		Version: "v1", Kind: "PersistentVolume", Plural: "persistentvolumes",
		Short: []string{"pv"}, Scope: resource.Cluster,
		Views:         []resource.View[*corev1.PersistentVolume]{{Name: "status", Prepare: preparePersistentVolumeStatus}},
		Default:       defaultPersistentVolume,
		Columns:       persistentVolumeColumns(),
		PrepareCreate: preparePersistentVolume,
		Validate:      validatePersistentVolume, ValidateUpdate: validatePersistentVolumeUpdate, Warn: warnPersistentVolume,
	})
}
