package persistentvolume

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/reconcile"
)

// classFinalizer holds a VolumeAttributesClass while a claim or volume has it, or is about to (KEP-3751).
const classFinalizer = "kubernetes.io/vac-protection"

// NewClassProtection returns the controller that keeps VolumeAttributesClasses as long as something has their attributes.
func NewClassProtection(set *client.Set) (reconcile.Controller, error) {
	classes := set.Informers.Storage().V1().VolumeAttributesClasses().Informer()
	claims, volumes := set.Informers.Core().V1().PersistentVolumeClaims().Informer(), set.Informers.Core().V1().PersistentVolumes().Informer()
	return reconcile.Controller{
		Name: "volumeattributesclass-protection-controller", Queue: "vacprotection", Kind: "VolumeAttributesClass", Workers: 1,
		Watches: []reconcile.Watch{
			{Informer: classes},
			{Informer: claims, Keys: reconcile.Each(func(claim *corev1.PersistentVolumeClaim) []reconcile.Key { return keysOf(classesOfClaim(claim)) })},
			{Informer: volumes, Keys: reconcile.Each(func(volume *corev1.PersistentVolume) []reconcile.Key { return keysOf(classesOfVolume(volume)) })},
		},
		Reconcile: func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
			class, found := index.Get[*storagev1.VolumeAttributesClass](classes, "", key.Name)
			if !found {
				return reconcile.Result{}, nil
			}
			changed, wanted := protect(&class.ObjectMeta, classFinalizer)
			if changed == nil {
				return reconcile.Result{}, nil
			}
			if !wanted {
				if used, err := classUsed(ctx, set, class.Name); used || err != nil {
					return reconcile.Result{}, err
				}
			}
			next := class.DeepCopy()
			next.Finalizers = changed
			_, err := set.StorageV1().VolumeAttributesClasses().Update(ctx, next, metav1.UpdateOptions{})
			return reconcile.Result{}, ignoreGone(err)
		},
	}, nil
}

// classUsed asks the API itself, since a cache may be behind and a class is seldom deleted.
func classUsed(ctx context.Context, set *client.Set, name string) (bool, error) {
	claims, err := set.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(claims.Items, func(c corev1.PersistentVolumeClaim) bool { return slices.Contains(classesOfClaim(&c), name) }) {
		return true, nil
	}
	volumes, err := set.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(volumes.Items, func(v corev1.PersistentVolume) bool { return slices.Contains(classesOfVolume(&v), name) }), nil
}

// classesOfClaim are those that a claim asks for, has, and is being changed to.
func classesOfClaim(claim *corev1.PersistentVolumeClaim) []string {
	var names []string
	for _, name := range []*string{claim.Spec.VolumeAttributesClassName, claim.Status.CurrentVolumeAttributesClassName} {
		if name != nil {
			names = append(names, *name)
		}
	}
	if change := claim.Status.ModifyVolumeStatus; change != nil {
		names = append(names, change.TargetVolumeAttributesClassName)
	}
	return names
}

func classesOfVolume(volume *corev1.PersistentVolume) []string {
	if volume.Spec.VolumeAttributesClassName == nil {
		return nil
	}
	return []string{*volume.Spec.VolumeAttributesClassName}
}

func keysOf(names []string) []reconcile.Key {
	var keys []reconcile.Key
	for _, name := range names {
		if name != "" {
			keys = append(keys, reconcile.Key{Name: name})
		}
	}
	return keys
}
