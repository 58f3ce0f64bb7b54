package persistentvolume

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

func (c *controller) syncClaim(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	claim, found := index.Get[*corev1.PersistentVolumeClaim](c.claims, key.Namespace, key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	if claim.Annotations[bindCompleted] != "" {
		return reconcile.Result{}, c.keepBound(ctx, claim)
	}
	if claim.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, c.find(ctx, claim)
}

// keepBound finishes a binding that was interrupted, and says so if a bound claim has lost its volume.
func (c *controller) keepBound(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Spec.VolumeName == "" {
		return c.lost(ctx, claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
	}
	volume, found := index.Get[*corev1.PersistentVolume](c.volumes, "", claim.Spec.VolumeName)
	if !found {
		return c.lost(ctx, claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
	}
	if volume.Spec.ClaimRef != nil && !names(volume, claim) {
		return c.lost(ctx, claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
	}
	return c.bind(ctx, claim, volume)
}

func (c *controller) lost(ctx context.Context, claim *corev1.PersistentVolumeClaim, reason, message string) error {
	if claim.Status.Phase == corev1.ClaimLost {
		return nil
	}
	changed := claim.DeepCopy()
	changed.Status.Phase, changed.Status.AccessModes, changed.Status.Capacity = corev1.ClaimLost, nil, nil
	if _, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{}); err != nil {
		return err
	}
	c.events.Event(claim, corev1.EventTypeWarning, reason, message)
	return nil
}

// find binds a claim to a volume that there is, or has one made.
func (c *controller) find(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	class, hasClass := index.Get[*storagev1.StorageClass](c.classes, "", classOf(claim))
	waits := hasClass && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	volumes := index.All[*corev1.PersistentVolume](c.volumes)
	if claim.Spec.VolumeName != "" {
		volume, found := index.Get[*corev1.PersistentVolume](c.volumes, "", claim.Spec.VolumeName)
		if !found || volume.Spec.ClaimRef != nil && !names(volume, claim) {
			return c.pending(ctx, claim)
		}
		return c.bind(ctx, claim, volume)
	}
	node := claim.Annotations[selectedNode]
	if volume := Match(claim, volumes); volume != nil && (names(volume, claim) || !waits) {
		return c.bind(ctx, claim, volume)
	}
	if waits && node == "" {
		c.events.Event(claim, corev1.EventTypeNormal, "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
		return c.pending(ctx, claim)
	}
	if !hasClass {
		reason, message := "FailedBinding", "no persistent volumes available for this claim and no storage class is set"
		if name := classOf(claim); name != "" {
			reason, message = "ProvisioningFailed", fmt.Sprintf("storageclass.storage.k8s.io %q not found", name)
		}
		kind := corev1.EventTypeNormal
		if reason == "ProvisioningFailed" {
			kind = corev1.EventTypeWarning
		}
		c.events.Event(claim, kind, reason, message)
		return c.pending(ctx, claim)
	}
	return c.provision(ctx, claim, class, node)
}

// pending shows a claim as waiting.
func (c *controller) pending(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Status.Phase == corev1.ClaimPending {
		return nil
	}
	changed := claim.DeepCopy()
	changed.Status.Phase = corev1.ClaimPending
	_, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	return err
}

// bind ties both sides together in four steps, each of which may be found done: the volume names the claim and is
// Bound, the claim names the volume and is Bound. The volume comes first, so that no two claims get it.
func (c *controller) bind(ctx context.Context, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume) error {
	volume, err := c.claimVolume(ctx, claim, volume)
	if err != nil {
		return err
	}
	claim, err = c.nameVolume(ctx, claim, volume)
	if err != nil {
		return err
	}
	status := corev1.PersistentVolumeClaimStatus{}
	claim.Status.DeepCopyInto(&status)
	status.Phase, status.AccessModes = corev1.ClaimBound, volume.Spec.AccessModes
	if capacity, has := status.Capacity[corev1.ResourceStorage]; !has || claim.Status.Phase != corev1.ClaimBound || capacity.IsZero() {
		status.Capacity = corev1.ResourceList{corev1.ResourceStorage: volume.Spec.Capacity[corev1.ResourceStorage]}
	}
	if volume.Spec.VolumeAttributesClassName != nil {
		status.CurrentVolumeAttributesClassName = volume.Spec.VolumeAttributesClassName
	}
	if equality.Semantic.DeepEqual(status, claim.Status) {
		return nil
	}
	changed := claim.DeepCopy()
	changed.Status = status
	updated, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	reconcile.Note(ctx, journal.Record{
		Step: "bind", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID, Made: updated.ResourceVersion, Note: "to volume " + volume.Name,
	})
	return nil
}

func (c *controller) claimVolume(ctx context.Context, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume) (*corev1.PersistentVolume, error) {
	api := c.client.CoreV1().PersistentVolumes()
	if ref := volume.Spec.ClaimRef; ref == nil || ref.UID != claim.UID {
		changed := volume.DeepCopy()
		if ref == nil {
			setAnnotation(&changed.ObjectMeta, boundByUs, "yes")
		}
		changed.Spec.ClaimRef = &corev1.ObjectReference{
			Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID, ResourceVersion: claim.ResourceVersion,
		}
		updated, err := api.Update(ctx, changed, metav1.UpdateOptions{})
		if err != nil {
			return nil, err
		}
		volume = updated
	}
	if volume.Status.Phase == corev1.VolumeBound {
		return volume, nil
	}
	changed := volume.DeepCopy()
	changed.Status.Phase, changed.Status.Message, changed.Status.Reason = corev1.VolumeBound, "", ""
	return api.UpdateStatus(ctx, changed, metav1.UpdateOptions{})
}

func (c *controller) nameVolume(ctx context.Context, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume) (*corev1.PersistentVolumeClaim, error) {
	if claim.Spec.VolumeName == volume.Name && claim.Annotations[bindCompleted] != "" {
		return claim, nil
	}
	changed := claim.DeepCopy()
	if changed.Spec.VolumeName == "" {
		setAnnotation(&changed.ObjectMeta, boundByUs, "yes")
	}
	changed.Spec.VolumeName = volume.Name
	setAnnotation(&changed.ObjectMeta, bindCompleted, "yes")
	return c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Update(ctx, changed, metav1.UpdateOptions{})
}

func setAnnotation(meta *metav1.ObjectMeta, key, value string) {
	if meta.Annotations == nil {
		meta.Annotations = map[string]string{}
	}
	meta.Annotations[key] = value
}

// provision has a volume made: by a provisioner in this process, else by an external one, which the annotation calls.
func (c *controller) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, node string) error {
	if err := c.pending(ctx, claim); err != nil {
		return err
	}
	own := c.provisioners[class.Provisioner]
	if own == nil {
		return c.callExternal(ctx, claim, class)
	}
	var chosen *corev1.Node
	if node != "" {
		found := false
		if chosen, found = index.Get[*corev1.Node](c.nodes, "", node); !found {
			c.events.Eventf(claim, corev1.EventTypeWarning, "ProvisioningFailed", "failed to get target node: node %q not found", node)
			return fmt.Errorf("node %s, which claim %s/%s is to be on, is not there", node, claim.Namespace, claim.Name)
		}
	}
	name := "pvc-" + string(claim.UID)
	volume, err := own.Provision(ctx, name, claim, class, chosen)
	if err != nil {
		c.events.Eventf(claim, corev1.EventTypeWarning, "ProvisioningFailed", "Failed to provision volume with StorageClass %q: %v", class.Name, err)
		return err
	}
	setAnnotation(&volume.ObjectMeta, boundByUs, "yes")
	setAnnotation(&volume.ObjectMeta, provisionedBy, class.Provisioner)
	volume.Spec.ClaimRef = &corev1.ObjectReference{
		Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID, ResourceVersion: claim.ResourceVersion,
	}
	made, err := c.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil // made by an earlier try: its event binds it
	}
	if err != nil {
		return err
	}
	c.events.Eventf(claim, corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume %s using %s", name, class.Provisioner)
	reconcile.Note(ctx, journal.Record{
		Step: "provision", Kind: "PersistentVolume", Name: name, UID: made.UID, Made: made.ResourceVersion, Owner: "PersistentVolumeClaim/" + claim.Namespace + "/" + claim.Name,
	})
	return nil
}

func (c *controller) callExternal(ctx context.Context, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) error {
	if claim.Annotations[provisioner] != class.Provisioner {
		changed := claim.DeepCopy()
		setAnnotation(&changed.ObjectMeta, provisioner, class.Provisioner)
		setAnnotation(&changed.ObjectMeta, provisionerBeta, class.Provisioner)
		if _, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	if class.Provisioner != "kubernetes.io/no-provisioner" {
		c.events.Eventf(claim, corev1.EventTypeNormal, "ExternalProvisioning", "Waiting for a volume to be created either by the external provisioner '%s' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.", class.Provisioner)
	}
	return nil
}
