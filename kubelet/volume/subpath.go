package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/kubelet/volume/mountpoint"
)

// SubPath returns the path on this machine to mount for one container's mount (the index-th of its volumeMounts) of only a part of a volume.
// path is the subPath, or the subPathExpr with its variables filled in. A directory that is missing is made, with the volume's mode.
//
// A Pod can write what it likes into its volumes, links above all, and change it at any time. So the part is opened such that the
// kernel never leaves the volume (openat2 with RESOLVE_BENEATH), and what was opened, not a path, is bound to a place that only the agent can change.
func (v *Volumes) SubPath(pod types.UID, container string, index int, volume string, mounted Mounted, path string) (string, error) {
	if filepath.IsAbs(path) {
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", path)
	}
	for _, part := range strings.Split(path, "/") {
		if part == ".." {
			return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", path)
		}
	}
	fd, err := openBeneath(mounted.HostPath, path, mounted.ReadOnly)
	if err != nil {
		return "", fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", volume, container, err)
	}
	defer unix.Close(fd)
	target := v.subPathFile(pod, volume, container, index)
	if err := bindTo(fd, target); err != nil {
		return "", fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", volume, container, err)
	}
	return target, nil
}

// how lets links point anywhere inside the volume but never out of it.
var how = unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}

// openBeneath opens root/path, making directories that are missing unless readOnly.
func openBeneath(root, path string, readOnly bool) (int, error) {
	base, err := unix.Open(root, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", root, err)
	}
	defer unix.Close(base)
	path = filepath.Clean(path)
	fd, err := openRetry(base, path)
	if err == nil || !errors.Is(err, unix.ENOENT) || readOnly {
		return fd, named(path, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(base, &stat); err != nil {
		return -1, err
	}
	if err := makeBeneath(base, path, stat); err != nil {
		return -1, err
	}
	fd, err = openRetry(base, path)
	return fd, named(path, err)
}

// openRetry tries again when the kernel saw a rename while it looked: it then cannot tell whether the path is beneath.
func openRetry(base int, path string) (int, error) {
	for range 32 {
		fd, err := unix.Openat2(base, path, &how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

func named(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EXDEV):
		return fmt.Errorf("subPath %q leads out of the volume", path)
	}
	return fmt.Errorf("open subPath %q: %w", path, err)
}

// makeBeneath makes the directories of path that are missing, each in its opened parent.
func makeBeneath(base int, path string, like unix.Stat_t) error {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if _, err := statBeneath(base, filepath.Join(parts[:i+1]...)); err == nil {
			continue
		}
		parent := filepath.Join(append([]string{"."}, parts[:i]...)...)
		dir, err := openRetry(base, parent)
		if err != nil {
			return named(parent, err)
		}
		err = makeIn(dir, part, like)
		unix.Close(dir)
		if err != nil {
			return fmt.Errorf("make directory %q: %w", filepath.Join(parts[:i+1]...), err)
		}
	}
	return nil
}

func statBeneath(base int, path string) (unix.Stat_t, error) {
	var stat unix.Stat_t
	fd, err := openRetry(base, path)
	if err != nil {
		return stat, err
	}
	defer unix.Close(fd)
	return stat, unix.Fstat(fd, &stat)
}

// makeIn makes one directory with the mode and, where the volume has setgid, the group of the volume's top directory.
func makeIn(dir int, name string, like unix.Stat_t) error {
	if err := unix.Mkdirat(dir, name, 0o700); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return nil
		}
		return err
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if like.Mode&unix.S_ISGID != 0 {
		if err := unix.Fchown(fd, -1, int(like.Gid)); err != nil {
			return err
		}
	}
	return unix.Fchmod(fd, like.Mode&0o7777)
}

// bindTo mounts what fd stands for at target, replacing what was bound there if that is another file: a configMap's files are new ones
// after each change.
func bindTo(fd int, target string) error {
	var source, have unix.Stat_t
	if err := unix.Fstat(fd, &source); err != nil {
		return err
	}
	mounted, err := mountpoint.Is(target)
	if err != nil {
		return err
	}
	if mounted {
		if err := unix.Stat(target, &have); err == nil && have.Dev == source.Dev && have.Ino == source.Ino {
			return nil
		}
		if err := mountpoint.Unmount(target); err != nil {
			return err
		}
	}
	if err := place(target, source.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return err
	}
	return mountpoint.BindFile(fd, target)
}

// place makes something of the right sort to mount over.
func place(target string, directory bool) error {
	info, err := os.Lstat(target)
	if err == nil && info.IsDir() == directory {
		return nil
	}
	if err == nil {
		if err := os.Remove(target); err != nil {
			return err
		}
	}
	if directory {
		return os.MkdirAll(target, 0o750)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	return os.WriteFile(target, nil, 0o640)
}
