package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	corev1 "k8s.io/api/core/v1"
)

func mountHostPath(_ context.Context, _ *Volumes, _ *podVolumes, volume *corev1.Volume) (Mounted, error) {
	return hostPath(volume.HostPath)
}

func hostPath(source *corev1.HostPathVolumeSource) (Mounted, error) {
	if err := checkHostPath(source); err != nil {
		return Mounted{}, err
	}
	return Mounted{HostPath: source.Path}, nil
}

// checkHostPath makes what the type says shall be made, and refuses what is something else.
func checkHostPath(source *corev1.HostPathVolumeSource) error {
	if source.Type == nil || *source.Type == corev1.HostPathUnset {
		return nil
	}
	info, err := os.Stat(source.Path)
	if errors.Is(err, fs.ErrNotExist) {
		switch *source.Type {
		case corev1.HostPathDirectoryOrCreate:
			return makeDirectory(source.Path)
		case corev1.HostPathFileOrCreate:
			return makeFile(source.Path)
		}
	} else if err != nil {
		return fmt.Errorf("hostPath type check failed: %w", err)
	}
	check, known := hostPathTypes[*source.Type]
	if !known {
		return fmt.Errorf("%s is an invalid volume type", *source.Type)
	}
	if err != nil || !check.is(info.Mode()) {
		return fmt.Errorf("hostPath type check failed: %s is not %s", source.Path, check.noun)
	}
	return nil
}

// hostPathTypes says what a path must be for each type.
var hostPathTypes = map[corev1.HostPathType]struct {
	noun string
	is   func(fs.FileMode) bool
}{
	corev1.HostPathDirectory:         {"a directory", fs.FileMode.IsDir},
	corev1.HostPathDirectoryOrCreate: {"a directory", fs.FileMode.IsDir},
	corev1.HostPathFile:              {"a file", fs.FileMode.IsRegular},
	corev1.HostPathFileOrCreate:      {"a file", fs.FileMode.IsRegular},
	corev1.HostPathSocket:            {"a socket file", func(m fs.FileMode) bool { return m&fs.ModeSocket != 0 }},
	corev1.HostPathCharDev:           {"a character device", func(m fs.FileMode) bool { return m&fs.ModeCharDevice != 0 }},
	corev1.HostPathBlockDev: {"a block device", func(m fs.FileMode) bool {
		return m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0
	}},
}

func makeDirectory(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

func makeFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(0o644), file.Close())
}
