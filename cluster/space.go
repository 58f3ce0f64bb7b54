package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// space is the file that holds a network namespace. It lies among the node's own files: whoever first uses `ip netns` mounts
// /run/netns over itself, and what was mounted there before cannot be reached any more.
type space string

// exists reports whether the file holds a network namespace, and not only lies there since before the machine's last start.
func (s space) exists() (bool, error) {
	var of unix.Statfs_t
	switch err := unix.Statfs(string(s), &of); {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s: %w", s, err)
	}
	return of.Type == unix.NSFS_MAGIC, nil
}

// make makes a network namespace and the file that holds it, while the caller stays in its own.
func (s space) make() (netns.NsHandle, error) {
	if err := os.MkdirAll(filepath.Dir(string(s)), 0o700); err != nil {
		return netns.None(), err
	}
	if err := os.WriteFile(string(s), nil, 0o400); err != nil {
		return netns.None(), err
	}
	var made netns.NsHandle
	err := inThread(func() (err error) {
		if made, err = netns.New(); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", string(s), "none", unix.MS_BIND, "")
	})
	if err != nil {
		return netns.None(), fmt.Errorf("network namespace %s: %w", s, err)
	}
	return made, nil
}

// within runs f in a thread inside of the namespace.
func (s space) within(f func() error) error {
	return inThread(func() error {
		there, err := netns.GetFromPath(string(s))
		if err != nil {
			return fmt.Errorf("network namespace %s: %w", s, err)
		}
		defer there.Close()
		if err := netns.Set(there); err != nil {
			return fmt.Errorf("network namespace %s: %w", s, err)
		}
		return f()
	})
}

// remove lets the namespace go, and with it the devices in it, once no process is left there. None is no error.
func (s space) remove() error {
	err := unix.Unmount(string(s), unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// inThread runs f in a thread of its own, whose namespaces it may change; the thread ends with it.
func inThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- f()
	}()
	return <-result
}
