// Package mountpoint is the few mount operations that volumes need, as plain system calls: no process is
// started for a mount, and whether a path is a mount point is asked of the kernel rather than searched for in the mount table.
package mountpoint

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
	mount "k8s.io/mount-utils"
)

// Is says whether path itself is the root of a mount (a bind mount counts). A path that does not exist is none.
func Is(path string) (bool, error) {
	var stat unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &stat)
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("statx %s: %w", path, err)
	case stat.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0:
		return stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
	}
	return inTable(path) // kernels before 5.8
}

// inTable looks for path among all mounts of this process.
func inTable(path string) (bool, error) {
	found, err := Below(path)
	if err != nil {
		return false, err
	}
	for _, target := range found {
		if target == path {
			return true, nil
		}
	}
	return false, nil
}

// Below returns every mount point at or under path, deepest first: the order to unmount them in. A path that is
// mounted over twice is there twice.
func Below(path string) ([]string, error) {
	infos, err := mount.ParseMountInfo("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("mount table: %w", err)
	}
	var found []string
	for _, info := range infos {
		if info.MountPoint == path || strings.HasPrefix(info.MountPoint, path+"/") {
			found = append(found, info.MountPoint)
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return len(found[i]) > len(found[j]) })
	return found, nil
}

// Tmpfs mounts a tmpfs at target with options such as "size=1024". Its pages are kept out of swap where the kernel can (6.4).
func Tmpfs(target string, options ...string) error {
	err := unix.Mount("tmpfs", target, "tmpfs", 0, strings.Join(append(options, "noswap"), ","))
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("tmpfs", target, "tmpfs", 0, strings.Join(options, ","))
	}
	if err != nil {
		return fmt.Errorf("mount tmpfs at %s: %w", target, err)
	}
	return nil
}

// Filesystem mounts source of the given type at target, with file system options (data).
func Filesystem(source, target, fstype string, options ...string) error {
	if err := unix.Mount(source, target, fstype, 0, strings.Join(options, ",")); err != nil {
		return fmt.Errorf("mount %s %s at %s: %w", fstype, source, target, err)
	}
	return nil
}

// Bind mounts source also at target, with what is mounted below it. readOnly makes the new mount read-only, not the source.
func Bind(source, target string, readOnly bool) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s at %s: %w", source, target, err)
	}
	if !readOnly {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return errors.Join(fmt.Errorf("make %s read-only: %w", target, err), Unmount(target))
	}
	return nil
}

// BindFile mounts what the open file descriptor stands for at target: no path is looked up again, so nobody can swap it meanwhile.
func BindFile(fd int, target string) error {
	source := fmt.Sprintf("/proc/self/fd/%d", fd)
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind at %s: %w", target, err)
	}
	return nil
}

// Unmount undoes the topmost mount at target. A path that is no mount point or does not exist is no error.
func Unmount(target string) error {
	err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
	if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return fmt.Errorf("unmount %s: %w", target, err)
}

// RemoveAll removes a tree after unmounting all that is mounted in it. If anything stays mounted, nothing is
// removed: what is mounted there is somebody's data.
func RemoveAll(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	targets, err := Below(path)
	if err != nil {
		return err
	}
	for _, target := range targets {
		if err := Unmount(target); err != nil {
			return err
		}
	}
	if len(targets) > 0 {
		if left, err := Below(path); err != nil || len(left) > 0 {
			return errors.Join(fmt.Errorf("%s still has mounts: %v", path, left), err)
		}
	}
	return os.RemoveAll(path)
}
