package volume

import (
	"context"
	"os"

	corev1 "k8s.io/api/core/v1"
	mount "k8s.io/mount-utils"
	"k8s.io/utils/exec"

	"github.com/septet-io/septet/kubelet/volume/mountpoint"
)

func mountPodNFS(_ context.Context, v *Volumes, p *podVolumes, volume *corev1.Volume) (Mounted, error) {
	return v.mountNFS(p, volume.Name, volume.NFS, false, nil)
}

// mountNFS needs the host's mount.nfs(8).
func (v *Volumes) mountNFS(p *podVolumes, name string, source *corev1.NFSVolumeSource, readOnly bool, options []string) (Mounted, error) {
	readOnly = readOnly || source.ReadOnly
	dir := v.volumeDir(p.pod.UID, pluginNFS, name)
	mounted, err := mountpoint.Is(dir)
	if err != nil {
		return Mounted{}, err
	}
	if !mounted {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return Mounted{}, err
		}
		if err := v.config.Mounter.Mount(source.Server+":"+source.Path, dir, "nfs", mountOptions(readOnly, options)); err != nil {
			return Mounted{}, err
		}
	}
	return Mounted{HostPath: dir, ReadOnly: readOnly}, nil
}

// formatter makes a file system on a device that has none, before it mounts it.
func formatter(mounter mount.Interface) *mount.SafeFormatAndMount {
	return &mount.SafeFormatAndMount{Interface: mounter, Exec: exec.New()}
}
