// Package volume holds the rules about storage: VolumeRestrictions, NodeVolumeLimits, VolumeBinding and VolumeZone.
package volume

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/snapshot"
)

// The names of the plugins.
const (
	RestrictionsName = "VolumeRestrictions"
	LimitsName       = "NodeVolumeLimits"
	BindingName      = "VolumeBinding"
	ZoneName         = "VolumeZone"
)

// Annotations by which scheduler, volume binder and provisioners speak to each other.
const (
	annBindCompleted     = "pv.kubernetes.io/bind-completed"
	annBoundByController = "pv.kubernetes.io/bound-by-controller"
	annSelectedNode      = "volume.kubernetes.io/selected-node"
)

// hasClaims says whether the pod uses claims at all; most do not.
func hasClaims(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			return true
		}
	}
	return false
}

// claimsOf visits the claims of a pod; claim is nil if it does not exist.
func claimsOf(pod *corev1.Pod, volumes *snapshot.Volumes, visit func(name string, ephemeral bool, claim *corev1.PersistentVolumeClaim) bool) {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if name := snapshot.ClaimName(pod, v); name != "" && !visit(name, v.Ephemeral != nil, volumes.Claim(pod.Namespace+"/"+name)) {
			return
		}
	}
}

// bound says whether a claim is fully bound to its volume.
func bound(claim *corev1.PersistentVolumeClaim) bool {
	_, completed := claim.Annotations[annBindCompleted]
	return claim.Spec.VolumeName != "" && completed
}

// className is the storage class of a claim, in the old annotation or the field.
func className(claim *corev1.PersistentVolumeClaim) string {
	if name, ok := claim.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name
	}
	if claim.Spec.StorageClassName != nil {
		return *claim.Spec.StorageClassName
	}
	return ""
}

func volumeClass(volume *corev1.PersistentVolume) string {
	if name, ok := volume.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name
	}
	return volume.Spec.StorageClassName
}

// reachable says whether a volume can be used on a node.
func reachable(volume *corev1.PersistentVolume, node *snapshot.Node) bool {
	a := volume.Spec.NodeAffinity
	return a == nil || a.Required == nil || snapshot.MatchTerms(a.Required.NodeSelectorTerms, node.Labels, node.Name)
}
