package containerd

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

// removeCgroups kills what runs in a cgroup and below it and removes it, in the unified hierarchy or in every one of the
// old hierarchies.
func removeCgroups(parent string) error {
	if parent == "" || filepath.Clean(parent) == "/" {
		return nil
	}
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	var problems error
	for _, root := range roots {
		dir := filepath.Join(root, parent)
		problems = errors.Join(problems, removeCgroup(dir))
		// Cgroups above it that were made for it alone are empty now; others cannot be removed.
		for dir = filepath.Dir(dir); dir != root && unix.Rmdir(dir) == nil; {
			dir = filepath.Dir(dir)
		}
	}
	return problems
}

// cgroupRoots are the mount points of cgroup hierarchies.
func cgroupRoots() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var roots []string
	for line := range strings.Lines(string(mounts)) {
		field := strings.Fields(line)
		if len(field) > 2 && (field[2] == "cgroup" || field[2] == "cgroup2") {
			roots = append(roots, unescape(field[1]))
		}
	}
	return roots, nil
}

func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroup(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := killCgroup(dir); err != nil {
		return err
	}
	// The kernel lets go of a cgroup a moment after its last process.
	for pause := time.Millisecond; ; pause *= 2 {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || pause > time.Second {
			return fmt.Errorf("removing %s: %w", dir, err)
		}
		time.Sleep(pause)
	}
}

func killCgroup(dir string) error {
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	var pids []int
	for word := range strings.FieldsSeq(string(procs)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return killAll(pids)
}
