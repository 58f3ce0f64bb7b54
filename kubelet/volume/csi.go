package volume

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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

// fillContext adds what the driver wants to know of the Pod, and waits until the volume is attached where it has to be.
func (v *Volumes) fillContext(ctx context.Context, p *podVolumes, r *request, object *storagev1.CSIDriver) error {
	attributes := map[string]string{}
	for key, value := range r.volume.Context {
		attributes[key] = value
	}
	if isTrue(object.Spec.PodInfoOnMount) {
		attributes["csi.storage.k8s.io/pod.name"] = p.pod.Name
		attributes["csi.storage.k8s.io/pod.namespace"] = p.pod.Namespace
		attributes["csi.storage.k8s.io/pod.uid"] = string(p.pod.UID)
		attributes["csi.storage.k8s.io/serviceAccount.name"] = p.pod.Spec.ServiceAccountName
		attributes["csi.storage.k8s.io/ephemeral"] = fmt.Sprint(r.inline)
	}
	if err := v.addTokens(ctx, p, object, attributes); err != nil {
		return err
	}
	r.volume.Context = attributes
	if !r.attached || object.Spec.AttachRequired != nil && !*object.Spec.AttachRequired {
		return nil
	}
	var err error
	r.data.Attachment = attachmentName(r.data.Handle, r.data.Driver, v.config.NodeName)
	r.volume.PublishContext, err = v.waitAttached(ctx, r.data.Attachment)
	return err
}

// addTokens gives the driver the service account tokens that it asks for.
func (v *Volumes) addTokens(ctx context.Context, p *podVolumes, object *storagev1.CSIDriver, attributes map[string]string) error {
	type issued struct {
		Token   string `json:"token"`
		Expires string `json:"expirationTimestamp"`
	}
	tokens := map[string]issued{}
	for _, wanted := range object.Spec.TokenRequests {
		key := tokenKey{audience: wanted.Audience, expiration: defaultTokenLife}
		if wanted.ExpirationSeconds != nil {
			key.expiration = *wanted.ExpirationSeconds
		}
		token, err := v.issue(ctx, p.pod, key)
		if err != nil {
			return err
		}
		tokens[wanted.Audience] = issued{token.Status.Token, token.Status.ExpirationTimestamp.Format("2006-01-02T15:04:05Z07:00")}
	}
	if len(tokens) == 0 {
		return nil
	}
	data, err := json.Marshal(tokens)
	attributes["csi.storage.k8s.io/serviceAccount.tokens"] = string(data)
	return err
}

// secretData reads a secret that a volume names.
func (v *Volumes) secretData(ctx context.Context, ref *corev1.SecretReference) (map[string]string, error) {
	if ref == nil {
		return nil, nil
	}
	secret, err := v.config.Client.CoreV1().Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	data := map[string]string{}
	for key, value := range secret.Data {
		data[key] = string(value)
	}
	return data, nil
}

// stagingDir is where a volume is made ready for the node, once for all Pods.
func (v *Volumes) stagingDir(driver, handle string) string {
	return filepath.Join(v.config.RootDir, "plugins", pluginCSI, driver, fmt.Sprintf("%x", sha256.Sum256([]byte(handle))))
}

// stageCSI makes a volume ready. A driver takes it well to be asked again.
func (v *Volumes) stageCSI(ctx context.Context, driver *csi.Node, r *request, stages bool) error {
	if r.inline || !stages {
		return nil
	}
	v.staging.Lock()
	defer v.staging.Unlock()
	dir := v.stagingDir(r.data.Driver, r.data.Handle)
	r.volume.Staging = filepath.Join(dir, "globalmount")
	if err := os.MkdirAll(r.volume.Staging, 0o750); err != nil {
		return err
	}
	if err := writeData(dir, r.data); err != nil {
		return err
	}
	var err error
	if r.volume.Secrets, err = v.secretData(ctx, r.stage); err != nil {
		return err
	}
	if err := driver.Stage(ctx, &r.volume); err != nil {
		return fmt.Errorf("rpc NodeStageVolume of %s: %w", r.data.Driver, err)
	}
	return nil
}

func writeData(dir string, data volumeData) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	encoded, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "vol_data.json"), encoded, 0o600)
}

func readData(dir string) (data volumeData, err error) {
	encoded, err := os.ReadFile(filepath.Join(dir, "vol_data.json"))
	if err != nil {
		return data, err
	}
	return data, json.Unmarshal(encoded, &data)
}

// unmountCSI unpublishes all of a Pod's CSI volumes and unstages those that no other Pod has.
func (v *Volumes) unmountCSI(ctx context.Context, pod types.UID) error {
	dirs, err := filepath.Glob(filepath.Join(v.volumeDir(pod, pluginCSI, "*"), "vol_data.json"))
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range dirs {
		errs = append(errs, v.unpublishCSI(ctx, filepath.Dir(file)))
	}
	return errors.Join(errs...)
}

func (v *Volumes) unpublishCSI(ctx context.Context, dir string) error {
	data, err := readData(dir)
	if err != nil {
		return err
	}
	driver, err := v.csiDriver(data.Driver)
	if err != nil {
		return err
	}
	if err := driver.Unpublish(ctx, data.Handle, filepath.Join(dir, "mount")); err != nil {
		return fmt.Errorf("rpc NodeUnpublishVolume of %s: %w", data.Driver, err)
	}
	if err := mountpoint.RemoveAll(dir); err != nil {
		return err
	}
	v.staging.Lock()
	defer v.staging.Unlock()
	staged := v.stagingDir(data.Driver, data.Handle)
	if _, err := os.Stat(staged); errors.Is(err, fs.ErrNotExist) || v.inUse(data) {
		return nil
	}
	if err := driver.Unstage(ctx, data.Handle, filepath.Join(staged, "globalmount")); err != nil {
		return fmt.Errorf("rpc NodeUnstageVolume of %s: %w", data.Driver, err)
	}
	return mountpoint.RemoveAll(staged)
}

// inUse says whether any Pod of this node still has a volume. What cannot be read counts as in use.
func (v *Volumes) inUse(data volumeData) bool {
	files, err := filepath.Glob(filepath.Join(v.volumeDir("*", pluginCSI, "*"), "vol_data.json"))
	if err != nil {
		return true
	}
	for _, file := range files {
		other, err := readData(filepath.Dir(file))
		if err != nil || other.Driver == data.Driver && other.Handle == data.Handle {
			return true
		}
	}
	return false
}
