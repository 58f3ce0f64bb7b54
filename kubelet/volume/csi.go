package volume

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/kubelet/volume/csi"
	"github.com/septet-io/septet/kubelet/volume/mountpoint"
)

// volumeData lies beside each CSI mount as vol_data.json: what is needed to take it away when nothing else is known.
type volumeData struct {
	Driver     string `json:"driverName"`
	Handle     string `json:"volumeHandle"`
	Spec       string `json:"specVolID"`
	Node       string `json:"nodeName"`
	Attachment string `json:"attachmentID"`
	Lifecycle  string `json:"volumeLifecycleMode"`
}

// request is a CSI volume to mount for a Pod.
type request struct {
	data     volumeData
	volume   csi.Volume
	secret   *corev1.SecretReference // for publishing
	stage    *corev1.SecretReference
	attached bool // has to be attached by a controller first
	inline   bool
}

// mountPodCSI mounts a volume that the Pod's spec describes itself and that lives as long as the Pod.
func mountPodCSI(ctx context.Context, v *Volumes, p *podVolumes, volume *corev1.Volume) (Mounted, error) {
	source := volume.CSI
	handle := fmt.Sprintf("csi-%x", sha256.Sum256([]byte(string(p.pod.UID)+volume.Name)))
	r := request{
		data:   volumeData{Driver: source.Driver, Handle: handle, Spec: volume.Name, Node: v.config.NodeName, Lifecycle: string(storagev1.VolumeLifecycleEphemeral)},
		volume: csi.Volume{ID: handle, Context: source.VolumeAttributes, AccessMode: accessModes[corev1.ReadWriteOnce], ReadOnly: isTrue(source.ReadOnly)},
		inline: true,
	}
	if source.FSType != nil {
		r.volume.FSType = *source.FSType
	}
	if source.NodePublishSecretRef != nil {
		r.secret = &corev1.SecretReference{Namespace: p.pod.Namespace, Name: source.NodePublishSecretRef.Name}
	}
	return v.publishCSI(ctx, p, r)
}

// accessModes are a PersistentVolume's in CSI's numbers.
var accessModes = map[corev1.PersistentVolumeAccessMode]uint64{
	corev1.ReadWriteOnce: 1, corev1.ReadOnlyMany: 3, corev1.ReadWriteMany: 5, corev1.ReadWriteOncePod: 1,
}

func (v *Volumes) mountCSI(ctx context.Context, p *podVolumes, from persistent) (Mounted, error) {
	if from.block {
		return Mounted{}, errors.New("raw block volumes of CSI drivers are not supported")
	}
	source, pv := from.pv.Spec.CSI, from.pv
	r := request{
		data:   volumeData{Driver: source.Driver, Handle: source.VolumeHandle, Spec: pv.Name, Node: v.config.NodeName, Lifecycle: string(storagev1.VolumeLifecyclePersistent)},
		volume: csi.Volume{ID: source.VolumeHandle, Context: source.VolumeAttributes, FSType: source.FSType, MountFlags: pv.Spec.MountOptions, ReadOnly: from.readOnly || source.ReadOnly},
		secret: source.NodePublishSecretRef, stage: source.NodeStageSecretRef, attached: true,
	}
	if len(pv.Spec.AccessModes) > 0 {
		r.volume.AccessMode = accessModes[pv.Spec.AccessModes[0]]
	}
	return v.publishCSI(ctx, p, r)
}

// publishCSI stages and publishes a volume, and gives it to the Pod's group as the driver wishes.
func (v *Volumes) publishCSI(ctx context.Context, p *podVolumes, r request) (Mounted, error) {
	dir := v.volumeDir(p.pod.UID, pluginCSI, r.data.Spec)
	target := filepath.Join(dir, "mount")
	mounted := Mounted{HostPath: target, ReadOnly: r.volume.ReadOnly}
	if is, err := mountpoint.Is(target); err != nil || is {
		return mounted, err
	}
	driver, err := v.csiDriver(r.data.Driver)
	if err != nil {
		return Mounted{}, err
	}
	can, err := driver.Capabilities(ctx)
	if err != nil {
		return Mounted{}, fmt.Errorf("NodeGetCapabilities of %s: %w", r.data.Driver, err)
	}
	object, err := v.csiObject(ctx, r.data.Driver)
	if err != nil {
		return Mounted{}, err
	}
	if err := v.fillContext(ctx, p, &r, object); err != nil {
		return Mounted{}, err
	}
	if group := fsGroup(p.pod); group != nil && can[csi.MountGroup] {
		r.volume.Group = fmt.Sprint(*group)
	}
	if err := v.stageCSI(ctx, driver, &r, can[csi.StageUnstage]); err != nil {
		return Mounted{}, err
	}
	if r.volume.Secrets, err = v.secretData(ctx, r.secret); err != nil {
		return Mounted{}, err
	}
	if err := writeData(dir, r.data); err != nil {
		return Mounted{}, err
	}
	r.volume.Target = target
	if err := driver.Publish(ctx, &r.volume); err != nil {
		return Mounted{}, fmt.Errorf("rpc NodePublishVolume of %s: %w", r.data.Driver, err)
	}
	if !r.volume.ReadOnly && ownsByFile(object, &r, can[csi.MountGroup]) {
		return mounted, ownAll(target, p.pod, false)
	}
	return mounted, nil
}

func (v *Volumes) csiDriver(name string) (*csi.Node, error) {
	if v.config.CSI == nil {
		return nil, fmt.Errorf("driver name %s not found in the list of registered CSI drivers", name)
	}
	return v.config.CSI.Get(name)
}

// csiObject returns the CSIDriver; an empty one, whose defaults count, if there is none.
func (v *Volumes) csiObject(ctx context.Context, name string) (*storagev1.CSIDriver, error) {
	object, err := v.config.Client.StorageV1().CSIDrivers().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &storagev1.CSIDriver{}, nil
	}
	return object, err
}

// ownsByFile says whether the agent has to give the files to the Pod's group: by default only on a file system of one's own.
func ownsByFile(object *storagev1.CSIDriver, r *request, byDriver bool) bool {
	policy := storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy
	if object.Spec.FSGroupPolicy != nil {
		policy = *object.Spec.FSGroupPolicy
	}
	switch {
	case byDriver || policy == storagev1.NoneFSGroupPolicy:
		return false
	case policy == storagev1.FileFSGroupPolicy:
		return true
	}
	return r.volume.FSType != "" && r.volume.AccessMode == accessModes[corev1.ReadWriteOnce]
}
