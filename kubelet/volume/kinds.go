package volume

import (
	"context"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/kubelet/volume/mountpoint"
	"github.com/septet-io/septet/kubelet/volume/payload"
)

// kind is one sort of volume source in a Pod's spec.
type kind struct {
	// is says whether the volume is of this kind.
	is func(*corev1.VolumeSource) bool
	// mount sets it up. Kinds that are files written by the agent have contents instead.
	mount func(context.Context, *Volumes, *podVolumes, *corev1.Volume) (Mounted, error)
	// contents renders the files now wanted; plugin and memory say where they lie.
	contents func(context.Context, *Volumes, *podVolumes, *corev1.Volume) (payload.Payload, error)
	plugin   string
	memory   bool
}

// kinds are all that are known. Secrets, and what may hold them, lie in memory only.
var kinds = []kind{
	{is: func(s *corev1.VolumeSource) bool { return s.ConfigMap != nil }, contents: configMapFiles, plugin: pluginConfigMap},
	{is: func(s *corev1.VolumeSource) bool { return s.Secret != nil }, contents: secretFiles, plugin: pluginSecret, memory: true},
	{is: func(s *corev1.VolumeSource) bool { return s.DownwardAPI != nil }, contents: downwardFiles, plugin: pluginDownward, memory: true},
	{is: func(s *corev1.VolumeSource) bool { return s.Projected != nil }, contents: projectedFiles, plugin: pluginProjected, memory: true},
	{is: func(s *corev1.VolumeSource) bool { return s.EmptyDir != nil }, mount: mountEmptyDir},
	{is: func(s *corev1.VolumeSource) bool { return s.HostPath != nil }, mount: mountHostPath},
	{is: func(s *corev1.VolumeSource) bool { return s.PersistentVolumeClaim != nil }, mount: mountClaim},
	{is: func(s *corev1.VolumeSource) bool { return s.Ephemeral != nil }, mount: mountEphemeral},
	{is: func(s *corev1.VolumeSource) bool { return s.NFS != nil }, mount: mountPodNFS},
	{is: func(s *corev1.VolumeSource) bool { return s.CSI != nil }, mount: mountPodCSI},
}

func kindOf(volume *corev1.Volume) (kind, error) {
	for _, k := range kinds {
		if k.is(&volume.VolumeSource) {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("no volume plugin matched name: %s", volume.Name)
}

// hasContents says whether a volume consists of files that the agent writes and rewrites.
func hasContents(volume *corev1.Volume) bool {
	k, err := kindOf(volume)
	return err == nil && k.contents != nil
}

func (v *Volumes) mountOne(ctx context.Context, p *podVolumes, volume *corev1.Volume) (Mounted, error) {
	k, err := kindOf(volume)
	if err != nil {
		return Mounted{}, err
	}
	if k.mount != nil {
		return k.mount(ctx, v, p, volume)
	}
	files, err := k.contents(ctx, v, p, volume)
	if err != nil {
		return Mounted{}, err
	}
	dir := v.volumeDir(p.pod.UID, k.plugin, volume.Name)
	if err := prepare(dir, k.memory); err != nil {
		return Mounted{}, err
	}
	group := fsGroup(p.pod)
	if err := ownRoot(dir, group, true); err != nil {
		return Mounted{}, err
	}
	if _, err := payload.Write(dir, files, group); err != nil {
		return Mounted{}, err
	}
	return Mounted{HostPath: dir, ReadOnly: true}, nil
}

// prepare makes dir exist, with a tmpfs on it if it is to be in memory, writable for all users as upstream's are.
func prepare(dir string, memory bool, options ...string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if memory {
		mounted, err := mountpoint.Is(dir)
		if err != nil {
			return err
		}
		if !mounted {
			if err := mountpoint.Tmpfs(dir, options...); err != nil {
				return err
			}
		}
	}
	return openToAll(dir)
}

// openToAll sets mode 0777 whatever the umask, keeping the special bits.
func openToAll(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() == 0o777 {
		return err
	}
	if err := os.Chmod(dir, info.Mode()|0o777); err != nil {
		return errors.Join(fmt.Errorf("open %s to all users", dir), err)
	}
	return nil
}
