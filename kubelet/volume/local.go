package volume

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/septet-io/septet/kubelet/volume/mountpoint"
)

// mountLocal binds a directory of this machine into the Pod's own directory, or hands out a block device as it is.
func (v *Volumes) mountLocal(p *podVolumes, request persistent) (Mounted, error) {
	path := request.pv.Spec.Local.Path
	info, err := os.Stat(path)
	if err != nil {
		return Mounted{}, fmt.Errorf("path %q does not exist or cannot be read: %w", path, err)
	}
	device := info.Mode()&fs.ModeDevice != 0 && info.Mode()&fs.ModeCharDevice == 0
	switch {
	case request.block && !device:
		return Mounted{}, fmt.Errorf("local volume %q is to be a block device, but %s is none", request.pv.Name, path)
	case request.block:
		return Mounted{HostPath: path}, nil
	case device:
		return v.mountLocalDevice(p, request, path)
	}
	dir := v.volumeDir(p.pod.UID, pluginLocal, request.pv.Name)
	mounted, err := mountpoint.Is(dir)
	if err != nil {
		return Mounted{}, err
	}
	if !mounted {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return Mounted{}, err
		}
		if err := mountpoint.Bind(path, dir, request.readOnly); err != nil {
			return Mounted{}, err
		}
	}
	return v.ownLocal(p, dir, request.readOnly)
}

// mountLocalDevice mounts the file system on a block device, once for each Pod.
func (v *Volumes) mountLocalDevice(p *podVolumes, request persistent, device string) (Mounted, error) {
	dir := v.volumeDir(p.pod.UID, pluginLocal, request.pv.Name)
	mounted, err := mountpoint.Is(dir)
	if err != nil {
		return Mounted{}, err
	}
	if !mounted {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return Mounted{}, err
		}
		fstype := "ext4"
		if t := request.pv.Spec.Local.FSType; t != nil && *t != "" {
			fstype = *t
		}
		options := mountOptions(request.readOnly, request.pv.Spec.MountOptions)
		if err := formatter(v.config.Mounter).FormatAndMount(device, dir, fstype, options); err != nil {
			return Mounted{}, err
		}
	}
	return v.ownLocal(p, dir, request.readOnly)
}

func (v *Volumes) ownLocal(p *podVolumes, dir string, readOnly bool) (Mounted, error) {
	if !readOnly {
		if err := ownAll(dir, p.pod, false); err != nil {
			return Mounted{}, err
		}
	}
	return Mounted{HostPath: dir, ReadOnly: readOnly}, nil
}

func mountOptions(readOnly bool, extra []string) []string {
	options := make([]string, 0, len(extra)+1)
	if readOnly {
		options = append(options, "ro")
	}
	return append(options, extra...)
}
