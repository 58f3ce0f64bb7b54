package statefulset

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/own"
)

var podKind = corev1.SchemeGroupVersion.WithKind("Pod")

// retention returns whether claims are deleted with the set, and with Pods that it is scaled down by.
func retention(set *appsv1.StatefulSet) (whenDeleted, whenScaled bool) {
	policy := set.Spec.PersistentVolumeClaimRetentionPolicy
	if policy == nil {
		return false, false
	}
	return policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
		policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
}

// heirs returns the ownerReferences that a claim must have, so that the garbage collector deletes it with whom the retention
// policy says. A claim that somebody else controls is left alone. condemned says that the set is being scaled down by its Pod.
func heirs(set *appsv1.StatefulSet, pod *corev1.Pod, condemned bool, claim *corev1.PersistentVolumeClaim) (refs []metav1.OwnerReference, changed bool) {
	whenDeleted, whenScaled := retention(set)
	ofSet, ofPod := own.Reference(set, Kind), own.Reference(pod, podKind)
	bySet := whenDeleted && !(whenScaled && condemned)
	byPod := whenScaled && condemned
	for _, ref := range claim.OwnerReferences {
		ours := ref.UID == set.UID || ref.UID == pod.UID
		if !ours && ref.Controller != nil && *ref.Controller {
			return claim.OwnerReferences, false
		}
	}
	has := func(uid string) bool {
		return slices.ContainsFunc(claim.OwnerReferences, func(r metav1.OwnerReference) bool { return string(r.UID) == uid })
	}
	if has(string(set.UID)) == bySet && has(string(pod.UID)) == byPod {
		return claim.OwnerReferences, false
	}
	for _, ref := range claim.OwnerReferences {
		if ref.UID != set.UID && ref.UID != pod.UID {
			refs = append(refs, ref)
		}
	}
	if bySet {
		refs = append(refs, ofSet)
	}
	if byPod {
		refs = append(refs, ofPod)
	}
	return refs, true
}

// stale reports whether a claim is about to be deleted with an earlier Pod of the same name: a new Pod must not use it.
func stale(claim *corev1.PersistentVolumeClaim, pod *corev1.Pod) bool {
	return slices.ContainsFunc(claim.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return ref.Kind == podKind.Kind && ref.Name == pod.Name && ref.UID != pod.UID
	})
}
