package persistentvolume

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/reconcile"
)

// Finalizers that hold a claim while a Pod uses it, and a volume while it is bound.
const (
	claimFinalizer  = "kubernetes.io/pvc-protection"
	volumeFinalizer = "kubernetes.io/pv-protection"
)

// NewClaimProtection returns the controller that adds the finalizer to claims, and takes it away from one that is being
// deleted when no Pod uses it any more.
func NewClaimProtection(set *client.Set) (reconcile.Controller, error) {
	claims, pods := set.Informers.Core().V1().PersistentVolumeClaims().Informer(), set.Informers.Core().V1().Pods().Informer()
	return reconcile.Controller{
		Name: "persistentvolumeclaim-protection-controller", Queue: "pvcprotection", Kind: "PersistentVolumeClaim", Workers: 1,
		Watches: []reconcile.Watch{{Informer: claims}, {Informer: pods, Keys: reconcile.Of(claimsOfPod)}},
		Reconcile: func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
			claim, found := index.Get[*corev1.PersistentVolumeClaim](claims, key.Namespace, key.Name)
			if !found {
				return reconcile.Result{}, nil
			}
			changed, wanted := protect(&claim.ObjectMeta, claimFinalizer)
			if !wanted && slices.Contains(claim.Finalizers, claimFinalizer) {
				used, err := usedNow(ctx, set, pods, claim)
				if used || err != nil {
					return reconcile.Result{}, err
				}
			}
			if changed == nil {
				return reconcile.Result{}, nil
			}
			next := claim.DeepCopy()
			next.Finalizers = changed
			_, err := set.CoreV1().PersistentVolumeClaims(key.Namespace).Update(ctx, next, metav1.UpdateOptions{})
			return reconcile.Result{}, ignoreGone(err)
		},
	}, nil
}

// NewVolumeProtection returns the controller that does the same for volumes and the claims that they are bound to.
func NewVolumeProtection(set *client.Set) (reconcile.Controller, error) {
	volumes := set.Informers.Core().V1().PersistentVolumes().Informer()
	return reconcile.Controller{
		Name: "persistentvolume-protection-controller", Queue: "pvprotection", Kind: "PersistentVolume", Workers: 1,
		Watches: []reconcile.Watch{{Informer: volumes}},
		Reconcile: func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
			volume, found := index.Get[*corev1.PersistentVolume](volumes, "", key.Name)
			if !found {
				return reconcile.Result{}, nil
			}
			changed, wanted := protect(&volume.ObjectMeta, volumeFinalizer)
			if changed == nil || !wanted && volume.Status.Phase == corev1.VolumeBound {
				return reconcile.Result{}, nil
			}
			next := volume.DeepCopy()
			next.Finalizers = changed
			_, err := set.CoreV1().PersistentVolumes().Update(ctx, next, metav1.UpdateOptions{})
			return reconcile.Result{}, ignoreGone(err)
		},
	}, nil
}

// protect returns the finalizers that an object should have, nil if they are right, and whether it is to be held at all.
func protect(meta *metav1.ObjectMeta, finalizer string) (changed []string, wanted bool) {
	wanted = meta.DeletionTimestamp == nil
	has := slices.Contains(meta.Finalizers, finalizer)
	switch {
	case wanted && !has:
		return append(slices.Clone(meta.Finalizers), finalizer), true
	case !wanted && has:
		return slices.DeleteFunc(slices.Clone(meta.Finalizers), func(f string) bool { return f == finalizer }), false
	}
	return nil, wanted
}

// usedNow looks for a Pod that uses the claim: in the cache, and since that may be behind, in the API.
func usedNow(ctx context.Context, set *client.Set, pods cache.SharedIndexInformer, claim *corev1.PersistentVolumeClaim) (bool, error) {
	for _, pod := range index.InNamespace[*corev1.Pod](pods, claim.Namespace) {
		if uses(pod, claim) {
			return true, nil
		}
	}
	live, err := set.CoreV1().Pods(claim.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(live.Items, func(pod corev1.Pod) bool { return uses(&pod, claim) }), nil
}

// uses says whether a Pod that is not over, or still on its node, mounts the claim.
func uses(pod *corev1.Pod, claim *corev1.PersistentVolumeClaim) bool {
	over := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if over || pod.Spec.NodeName == "" && pod.DeletionTimestamp != nil {
		return false
	}
	for _, key := range claimsOfPod(nil, pod) {
		if key.Name == claim.Name {
			return pod.Spec.NodeName != "" || pod.DeletionTimestamp == nil
		}
	}
	return false
}

// claimsOfPod are the claims that a Pod mounts.
func claimsOfPod(old, pod *corev1.Pod) []reconcile.Key {
	if pod == nil {
		pod = old
	}
	var keys []reconcile.Key
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		switch {
		case volume.PersistentVolumeClaim != nil:
			keys = append(keys, reconcile.Key{Namespace: pod.Namespace, Name: volume.PersistentVolumeClaim.ClaimName})
		case volume.Ephemeral != nil:
			keys = append(keys, reconcile.Key{Namespace: pod.Namespace, Name: pod.Name + "-" + volume.Name})
		}
	}
	return keys
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
