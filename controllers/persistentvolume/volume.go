package persistentvolume

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

func (c *controller) syncVolume(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	volume, found := index.Get[*corev1.PersistentVolume](c.volumes, "", key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	ref := volume.Spec.ClaimRef
	if ref == nil || ref.UID == "" { // free, or kept for a claim that may come
		return reconcile.Result{}, c.setPhase(ctx, volume, corev1.VolumeAvailable, "")
	}
	claim, err := c.claimOf(ctx, ref)
	if err != nil {
		return reconcile.Result{}, err
	}
	if claim != nil {
		return reconcile.Result{}, nil // its claim's side looks after it
	}
	if err := c.setPhase(ctx, volume, corev1.VolumeReleased, ""); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, c.reclaim(ctx, volume)
}

// claimOf is the very claim that a volume belongs to; nil if it is gone. The cache may be behind, so it is asked for
// before anything is given up.
func (c *controller) claimOf(ctx context.Context, ref *corev1.ObjectReference) (*corev1.PersistentVolumeClaim, error) {
	if claim, found := index.Get[*corev1.PersistentVolumeClaim](c.claims, ref.Namespace, ref.Name); found && claim.UID == ref.UID {
		return claim, nil
	}
	claim, err := c.client.CoreV1().PersistentVolumeClaims(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && claim.UID != ref.UID {
		return nil, nil
	}
	return claim, err
}

func (c *controller) setPhase(ctx context.Context, volume *corev1.PersistentVolume, phase corev1.PersistentVolumePhase, message string) error {
	if volume.Status.Phase == phase && volume.Status.Message == message {
		return nil
	}
	changed := volume.DeepCopy()
	changed.Status.Phase, changed.Status.Message = phase, message
	_, err := c.client.CoreV1().PersistentVolumes().UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// reclaim does with a released volume what its policy says. Those that somebody else provisioned, that one deletes.
func (c *controller) reclaim(ctx context.Context, volume *corev1.PersistentVolume) error {
	if volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		return nil
	}
	own := c.provisioners[volume.Annotations[provisionedBy]]
	if own == nil {
		if volume.Annotations[provisionedBy] != "" {
			return nil
		}
		c.events.Event(volume, corev1.EventTypeWarning, "VolumeFailedDelete", "error getting deleter volume plugin for volume \""+volume.Name+"\": no deletable volume plugin matched")
		return c.setPhase(ctx, volume, corev1.VolumeFailed, "no deletable volume plugin matched")
	}
	if err := own.Delete(ctx, volume); err != nil {
		c.events.Event(volume, corev1.EventTypeWarning, "VolumeFailedDelete", err.Error())
		return fmt.Errorf("delete volume %s: %w", volume.Name, c.setFailed(ctx, volume, err))
	}
	err := c.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &volume.UID}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		reconcile.Note(ctx, journal.Record{Step: "delete", Kind: "PersistentVolume", Name: volume.Name, UID: volume.UID, Note: "its claim is gone"})
	}
	return err
}

func (c *controller) setFailed(ctx context.Context, volume *corev1.PersistentVolume, cause error) error {
	if err := c.setPhase(ctx, volume, corev1.VolumeFailed, cause.Error()); err != nil {
		return err
	}
	return cause
}
