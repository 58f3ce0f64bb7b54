package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Killing and removing is tried for at most removeTries times removeWait: a process in an uninterruptible wait cannot be helped.
const (
	removeTries = 100
	removeWait  = 10 * time.Millisecond
)

// remove kills what runs in a group and below, and removes the groups in all trees.
func (f files) remove(group string) error {
	if strings.Trim(group, "/") == "" {
		return errors.New("the root cgroup cannot be removed")
	}
	var last error
	for range removeTries {
		if !f.exists(group) {
			return nil
		}
		last = nil
		for _, base := range f.bases() {
			last = errors.Join(last, f.removeTree(filepath.Join(base, group)))
		}
		if last == nil {
			return nil
		}
		time.Sleep(removeWait) // the kernel tells of the last exit only on v2, and killing takes it microseconds
	}
	return last
}

// removeTree removes one directory tree, deepest groups first.
func (f files) removeTree(dir string) error {
	if err := kill(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := f.removeTree(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}

// kill sends SIGKILL to every process of one group.
func kill(dir string) error {
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, line := range strings.Fields(string(procs)) {
		pid, err := strconv.Atoi(line)
		if err != nil || pid <= 0 {
			continue // 0 is a process of another PID namespace: not ours to reach
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill %d: %w", pid, err)
		}
	}
	return nil
}
