package persistentvolume

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Match returns the volume to bind a claim to: one that names the claim already, else the smallest free one that fits.
// nil if there is none.
func Match(claim *corev1.PersistentVolumeClaim, volumes []*corev1.PersistentVolume) *corev1.PersistentVolume {
	var best *corev1.PersistentVolume
	for _, volume := range volumes {
		if claim.Spec.VolumeName != "" && claim.Spec.VolumeName != volume.Name {
			continue
		}
		if names(volume, claim) {
			if claim.Spec.VolumeName == volume.Name || fits(volume, claim) {
				return volume
			}
			continue
		}
		if volume.Spec.ClaimRef != nil || !fits(volume, claim) {
			continue
		}
		if best == nil || smaller(volume, best) {
			best = volume
		}
	}
	return best
}

// names says whether a volume's claimRef is the claim, if need be by name alone.
func names(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	ref := volume.Spec.ClaimRef
	return ref != nil && ref.Namespace == claim.Namespace && ref.Name == claim.Name && (ref.UID == "" || ref.UID == claim.UID)
}

func fits(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	if volume.DeletionTimestamp != nil || classOfVolume(volume) != classOf(claim) || modeOf(volume.Spec.VolumeMode) != modeOf(claim.Spec.VolumeMode) {
		return false
	}
	if !sameAttributes(volume, claim) {
		return false
	}
	for _, mode := range claim.Spec.AccessModes {
		if !slices.Contains(volume.Spec.AccessModes, mode) {
			return false
		}
	}
	wanted, has := claim.Spec.Resources.Requests[corev1.ResourceStorage], volume.Spec.Capacity[corev1.ResourceStorage]
	if has.Cmp(wanted) < 0 {
		return false
	}
	if claim.Spec.Selector == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(claim.Spec.Selector)
	return err == nil && selector.Matches(labels.Set(volume.Labels))
}

func sameAttributes(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	a, b := volume.Spec.VolumeAttributesClassName, claim.Spec.VolumeAttributesClassName
	return (a == nil || *a == "") && (b == nil || *b == "") || a != nil && b != nil && *a == *b
}

func modeOf(mode *corev1.PersistentVolumeMode) corev1.PersistentVolumeMode {
	if mode == nil {
		return corev1.PersistentVolumeFilesystem
	}
	return *mode
}

// smaller prefers less capacity, then the name, so that the choice does not depend on the order.
func smaller(a, b *corev1.PersistentVolume) bool {
	x, y := a.Spec.Capacity[corev1.ResourceStorage], b.Spec.Capacity[corev1.ResourceStorage]
	if order := x.Cmp(y); order != 0 {
		return order < 0
	}
	return a.Name < b.Name
}
