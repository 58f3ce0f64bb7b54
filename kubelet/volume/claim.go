package volume

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// gidAnnotation on a PersistentVolume names the group that owns what is on it.
const gidAnnotation = "pv.beta.kubernetes.io/gid"

func mountClaim(ctx context.Context, v *Volumes, p *podVolumes, volume *corev1.Volume) (Mounted, error) {
	source := volume.PersistentVolumeClaim
	return v.mountBound(ctx, p, volume.Name, source.ClaimName, source.ReadOnly, nil)
}

// mountEphemeral mounts the claim that was made for this very Pod; one of another owner that has the name by chance is refused.
func mountEphemeral(ctx context.Context, v *Volumes, p *podVolumes, volume *corev1.Volume) (Mounted, error) {
	return v.mountBound(ctx, p, volume.Name, p.pod.Name+"-"+volume.Name, false, func(claim *corev1.PersistentVolumeClaim) error {
		if !metav1.IsControlledBy(claim, p.pod) {
			return fmt.Errorf("PVC %s/%s was not created for pod %s/%s (pod is not owner)", claim.Namespace, claim.Name, p.pod.Namespace, p.pod.Name)
		}
		return nil
	})
}

// mountBound mounts the PersistentVolume that a claim is bound to.
func (v *Volumes) mountBound(ctx context.Context, p *podVolumes, volume, claimName string, readOnly bool, check func(*corev1.PersistentVolumeClaim) error) (Mounted, error) {
	claim, err := v.boundClaim(ctx, p.pod.Namespace, claimName, check)
	if err != nil {
		return Mounted{}, fmt.Errorf("error processing PVC %s/%s: %w", p.pod.Namespace, claimName, err)
	}
	pv, err := v.config.Client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return Mounted{}, fmt.Errorf("error processing PVC %s/%s: failed to fetch PV %s from API server: %w", p.pod.Namespace, claimName, claim.Spec.VolumeName, err)
	}
	if pv.Spec.ClaimRef == nil {
		return Mounted{}, fmt.Errorf("found PV object %s but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim", pv.Name)
	}
	if pv.Spec.ClaimRef.UID != claim.UID {
		return Mounted{}, fmt.Errorf("found PV object %s but its pv.Spec.ClaimRef.UID %s does not point to claim.UID %s", pv.Name, pv.Spec.ClaimRef.UID, claim.UID)
	}
	request := persistent{volume: volume, pv: pv, readOnly: readOnly, block: claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock}
	if err := v.checkVolumeNode(ctx, pv); err != nil {
		return Mounted{}, err
	}
	mounted, err := v.mountPersistent(ctx, p, request)
	if err != nil {
		return Mounted{}, err
	}
	mounted.ReadOnly, mounted.Block = mounted.ReadOnly || readOnly, request.block
	if gid, err := strconv.ParseInt(pv.Annotations[gidAnnotation], 10, 64); err == nil && gid > 0 {
		mounted.SupplementalGroup = &gid
	}
	return mounted, nil
}

func (v *Volumes) boundClaim(ctx context.Context, namespace, name string, check func(*corev1.PersistentVolumeClaim) error) (*corev1.PersistentVolumeClaim, error) {
	claim, err := v.config.Client.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to fetch PVC from API server: %w", err)
	}
	if check != nil {
		if err := check(claim); err != nil {
			return nil, err
		}
	}
	if claim.DeletionTimestamp != nil {
		return nil, errors.New("PVC is being deleted")
	}
	if claim.Status.Phase != corev1.ClaimBound || claim.Spec.VolumeName == "" {
		return nil, fmt.Errorf("PVC %s/%s has non-bound phase (%q) or empty pvc.Spec.VolumeName (%q)", namespace, name, claim.Status.Phase, claim.Spec.VolumeName)
	}
	return claim, nil
}

// persistent is a request to mount a PersistentVolume for a Pod.
type persistent struct {
	volume   string // its name in the Pod
	pv       *corev1.PersistentVolume
	readOnly bool
	block    bool
}

func (v *Volumes) mountPersistent(ctx context.Context, p *podVolumes, request persistent) (Mounted, error) {
	source := &request.pv.Spec.PersistentVolumeSource
	switch {
	case source.HostPath != nil:
		return hostPath(source.HostPath)
	case source.Local != nil:
		return v.mountLocal(p, request)
	case source.NFS != nil:
		return v.mountNFS(p, request.pv.Name, source.NFS, request.readOnly, request.pv.Spec.MountOptions)
	case source.CSI != nil:
		return v.mountCSI(ctx, p, request)
	}
	return Mounted{}, fmt.Errorf("no volume plugin matched persistent volume %s", request.pv.Name)
}
