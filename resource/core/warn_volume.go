package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

const mountOptionsAnnotation = "volume.beta.kubernetes.io/mount-options"

// oldAnnotations warns about annotations that became fields.
func (w *warner) oldAnnotations(annotations map[string]string) {
	at := metaPath.Child("annotations")
	if _, ok := annotations[corev1.BetaStorageClassAnnotation]; ok {
		w.at(at.Key(corev1.BetaStorageClassAnnotation), `deprecated since v1.8; use "storageClassName" attribute instead`)
	}
	if _, ok := annotations[mountOptionsAnnotation]; ok {
		w.at(at.Key(mountOptionsAnnotation), `deprecated since v1.31; use "mountOptions" attribute instead`)
	}
}

func warnPersistentVolume(_ *resource.Request, volume, _ *corev1.PersistentVolume) []string {
	var w warner
	spec := &volume.Spec
	w.oldAnnotations(volume.Annotations)
	if spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		w.at(specPath.Child("persistentVolumeReclaimPolicy"),
			"The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.")
	}
	if spec.NodeAffinity != nil && spec.NodeAffinity.Required != nil {
		for i := range spec.NodeAffinity.Required.NodeSelectorTerms {
			w.term(&spec.NodeAffinity.Required.NodeSelectorTerms[i], specPath.Child("nodeAffinity", "required", "nodeSelectorTerms").Index(i))
		}
	}
	for _, gone := range []struct {
		set        bool
		name, when string
	}{
		{spec.CephFS != nil, "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
		{spec.PhotonPersistentDisk != nil, "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
		{spec.ScaleIO != nil, "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
		{spec.StorageOS != nil, "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
		{spec.Glusterfs != nil, "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
		{spec.RBD != nil, "rbd", "deprecated in v1.28, non-functional in v1.31+"},
	} {
		if gone.set {
			w.at(specPath.Child(gone.name), "%s", gone.when)
		}
	}
	return w
}

func warnClaim(_ *resource.Request, claim, _ *corev1.PersistentVolumeClaim) []string {
	var w warner
	w.oldAnnotations(claim.Annotations)
	return append(w, WarnClaim(&claim.Spec, specPath)...)
}
