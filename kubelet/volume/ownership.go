package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

// Bits that an fsGroup adds to files and to directories. New files in a directory with setgid get the group by themselves.
const (
	writable   fs.FileMode = 0o660
	readable   fs.FileMode = 0o440
	searchable             = fs.ModeSetgid | 0o110
)

// ownRoot gives the top directory of a volume to the Pod's fsGroup. It suffices for volumes that are empty or whose files are written by the agent.
func ownRoot(dir string, group *int64, readOnly bool) error {
	if group == nil {
		return nil
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	return own(dir, info, *group, readOnly)
}

// ownAll gives a whole volume to the Pod's fsGroup. With the change policy OnRootMismatch it does so only if the top directory does not look as
// if that had been done before.
func ownAll(dir string, pod *corev1.Pod, readOnly bool) error {
	group := fsGroup(pod)
	if group == nil {
		return nil
	}
	policy := pod.Spec.SecurityContext.FSGroupChangePolicy
	if policy != nil && *policy == corev1.FSGroupChangeOnRootMismatch {
		if done, err := owned(dir, *group, readOnly); err != nil || done {
			return err
		}
	}
	// Deepest first, the root last: should this be interrupted, the root still shows that it is not done.
	var paths []string
	err := filepath.WalkDir(dir, func(at string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed by someone meanwhile
		}
		paths = append(paths, at)
		return err
	})
	if err != nil {
		return fmt.Errorf("fsGroup of %s: %w", dir, err)
	}
	for i := len(paths) - 1; i >= 0; i-- {
		info, err := os.Lstat(paths[i])
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := own(paths[i], info, *group, readOnly); err != nil {
			return err
		}
	}
	return nil
}

// owned says whether the top directory already belongs to the group with all bits that own would set.
func owned(dir string, group int64, readOnly bool) (bool, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return false, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	bits := groupBits(info.Mode(), readOnly)
	return ok && int64(stat.Gid) == group && info.Mode()&bits == bits, nil
}

func groupBits(mode fs.FileMode, readOnly bool) fs.FileMode {
	bits := writable
	if readOnly {
		bits = readable
	}
	if mode.IsDir() {
		bits |= searchable
	}
	return bits
}

func own(at string, info fs.FileInfo, group int64, readOnly bool) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int64(stat.Gid) != group {
		if err := os.Lchown(at, -1, int(group)); err != nil {
			return err
		}
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil // a link has no mode of its own
	}
	wanted := info.Mode() | groupBits(info.Mode(), readOnly)
	if wanted == info.Mode() && ok && int64(stat.Gid) == group {
		return nil
	}
	return os.Chmod(at, wanted)
}
