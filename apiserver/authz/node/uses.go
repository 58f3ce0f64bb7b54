package node

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/apiserver/request"
)

// usedBy permits access to a named object that a pod bound to the node uses.
func usedBy(uses func(pod *corev1.Pod, name string) bool) func(ctx context.Context, a *Authorizer, node string, info *request.Info) string {
	return func(ctx context.Context, a *Authorizer, node string, info *request.Info) string {
		if info.Name == "" {
			return "No Object name found"
		}
		found := a.anyPod(ctx, node, func(pod *corev1.Pod) bool {
			return !isMirror(pod) && pod.Namespace == info.Namespace && uses(pod, info.Name)
		})
		if found {
			return ""
		}
		return fmt.Sprintf(noAccess, node)
	}
}

// anyPod looks for a Pod of the node. What cannot be looked up is not allowed.
func (a *Authorizer) anyPod(ctx context.Context, node string, f func(*corev1.Pod) bool) bool {
	pods, err := a.Objects.PodsOn(ctx, node)
	return err == nil && slices.ContainsFunc(pods, f)
}

// isMirror says that a Pod is the node's own word: what it names, the node gains no right to.
func isMirror(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}

// usedSecret permits reading secrets of the node's pods, and those that the volumes of their claims are mounted with, which may
// be in any namespace.
func usedSecret(ctx context.Context, a *Authorizer, node string, info *request.Info) string {
	objection := usedBy(podUsesSecret)(ctx, a, node, info)
	if objection == "" || info.Name == "" {
		return objection
	}
	found := a.anyPod(ctx, node, func(pod *corev1.Pod) bool {
		return !isMirror(pod) && slices.ContainsFunc(claimsOf(pod), func(claim string) bool { return a.claimUsesSecret(ctx, pod.Namespace, claim, info) })
	})
	if found {
		return ""
	}
	return objection
}

func (a *Authorizer) claimUsesSecret(ctx context.Context, namespace, name string, info *request.Info) bool {
	claim, err := a.Objects.PersistentVolumeClaim(ctx, namespace, name)
	if err != nil || claim.Spec.VolumeName == "" {
		return false
	}
	volume, err := a.Objects.PersistentVolume(ctx, claim.Spec.VolumeName)
	if err != nil || volume.Spec.CSI == nil {
		return false
	}
	if owner := volume.Spec.ClaimRef; owner == nil || owner.Namespace != namespace || owner.Name != name {
		return false // the claim says so, but the volume is another's
	}
	csi := volume.Spec.CSI
	return slices.ContainsFunc([]*corev1.SecretReference{csi.NodeStageSecretRef, csi.NodePublishSecretRef, csi.NodeExpandSecretRef}, func(ref *corev1.SecretReference) bool {
		return ref != nil && ref.Namespace == info.Namespace && ref.Name == info.Name
	})
}

// ownVolume permits reading a PersistentVolume whose claim a pod of the node uses.
func ownVolume(ctx context.Context, a *Authorizer, node string, info *request.Info) string {
	volume, err := a.Objects.PersistentVolume(ctx, info.Name)
	if err != nil || volume.Spec.ClaimRef == nil {
		return fmt.Sprintf(noAccess, node)
	}
	claim := volume.Spec.ClaimRef
	found := a.anyPod(ctx, node, func(pod *corev1.Pod) bool {
		return pod.Namespace == claim.Namespace && podUsesClaim(pod, claim.Name)
	})
	if found {
		return ""
	}
	return fmt.Sprintf(noAccess, node)
}

func ownAttachment(ctx context.Context, a *Authorizer, node string, info *request.Info) string {
	attachment, err := a.Objects.VolumeAttachment(ctx, info.Name)
	if err != nil || attachment.Spec.NodeName != node {
		return fmt.Sprintf(noAccess, node)
	}
	return ""
}

func podUsesServiceAccount(pod *corev1.Pod, name string) bool {
	return pod.Spec.ServiceAccountName == name
}

func podUsesClaim(pod *corev1.Pod, name string) bool { return slices.Contains(claimsOf(pod), name) }

// claimsOf are the names of a pod's claims, its own ephemeral ones too.
func claimsOf(pod *corev1.Pod) []string {
	var names []string
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		if claim := volume.PersistentVolumeClaim; claim != nil {
			names = append(names, claim.ClaimName)
		}
		if volume.Ephemeral != nil {
			names = append(names, pod.Name+"-"+volume.Name)
		}
	}
	return names
}

func podUsesResourceClaim(pod *corev1.Pod, name string) bool {
	for _, claim := range pod.Spec.ResourceClaims {
		if claim.ResourceClaimName != nil && *claim.ResourceClaimName == name {
			return true
		}
	}
	for _, status := range pod.Status.ResourceClaimStatuses {
		if status.ResourceClaimName != nil && *status.ResourceClaimName == name {
			return true
		}
	}
	return false
}

func podUsesSecret(pod *corev1.Pod, name string) bool {
	for _, pull := range pod.Spec.ImagePullSecrets {
		if pull.Name == name {
			return true
		}
	}
	for i := range pod.Spec.Volumes {
		if volumeUsesSecret(&pod.Spec.Volumes[i].VolumeSource, name) {
			return true
		}
	}
	return anyEnv(pod, func(from *corev1.EnvFromSource, value *corev1.EnvVarSource) bool {
		if from != nil {
			return from.SecretRef != nil && from.SecretRef.Name == name
		}
		return value.SecretKeyRef != nil && value.SecretKeyRef.Name == name
	})
}

func volumeUsesSecret(volume *corev1.VolumeSource, name string) bool {
	if volume.Secret != nil && volume.Secret.SecretName == name {
		return true
	}
	if volume.CSI != nil && volume.CSI.NodePublishSecretRef != nil && volume.CSI.NodePublishSecretRef.Name == name {
		return true
	}
	if volume.Projected != nil {
		for _, source := range volume.Projected.Sources {
			if source.Secret != nil && source.Secret.Name == name {
				return true
			}
		}
	}
	return false
}

func podUsesConfigMap(pod *corev1.Pod, name string) bool {
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		if volume.ConfigMap != nil && volume.ConfigMap.Name == name {
			return true
		}
		if volume.Projected != nil {
			for _, source := range volume.Projected.Sources {
				if source.ConfigMap != nil && source.ConfigMap.Name == name {
					return true
				}
			}
		}
	}
	return anyEnv(pod, func(from *corev1.EnvFromSource, value *corev1.EnvVarSource) bool {
		if from != nil {
			return from.ConfigMapRef != nil && from.ConfigMapRef.Name == name
		}
		return value.ConfigMapKeyRef != nil && value.ConfigMapKeyRef.Name == name
	})
}

// anyEnv asks f about each source of environment variables of each container: exactly one argument is set.
func anyEnv(pod *corev1.Pod, f func(*corev1.EnvFromSource, *corev1.EnvVarSource) bool) bool {
	each := func(envFrom []corev1.EnvFromSource, env []corev1.EnvVar) bool {
		for i := range envFrom {
			if f(&envFrom[i], nil) {
				return true
			}
		}
		for i := range env {
			if env[i].ValueFrom != nil && f(nil, env[i].ValueFrom) {
				return true
			}
		}
		return false
	}
	for i := range pod.Spec.InitContainers {
		if each(pod.Spec.InitContainers[i].EnvFrom, pod.Spec.InitContainers[i].Env) {
			return true
		}
	}
	for i := range pod.Spec.Containers {
		if each(pod.Spec.Containers[i].EnvFrom, pod.Spec.Containers[i].Env) {
			return true
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if each(pod.Spec.EphemeralContainers[i].EnvFrom, pod.Spec.EphemeralContainers[i].Env) {
			return true
		}
	}
	return false
}
