package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// files is how this host shows its cgroups: one unified tree (v2), or a tree a controller (v1).
type files struct {
	unified bool
	// mount is where the unified tree is.
	mount string
	// trees are v1's trees by controller ("memory"); controllers that are mounted together share one.
	trees map[string]string
}

// limiting are the controllers whose groups the agent itself makes; the container runtime makes its own in the others.
var limiting = []string{"cpu", "cpuacct", "memory", "pids", "hugetlb", "cpuset"}

// detect looks at what is mounted under mount. A v2 tree beside v1 controllers (the hybrid layout) has no controllers of use.
func detect(mount string) (files, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(mount, &stat); err != nil {
		return files{}, fmt.Errorf("cgroups at %s: %w", mount, err)
	}
	if stat.Type == unix.CGROUP2_SUPER_MAGIC {
		return files{unified: true, mount: mount}, nil
	}
	found := files{mount: mount, trees: map[string]string{}}
	entries, err := os.ReadDir(mount)
	if err != nil {
		return files{}, fmt.Errorf("cgroups at %s: %w", mount, err)
	}
	for _, entry := range entries {
		dir, err := filepath.EvalSymlinks(filepath.Join(mount, entry.Name()))
		if err != nil {
			continue
		}
		if err := unix.Statfs(dir, &stat); err != nil || stat.Type != unix.CGROUP_SUPER_MAGIC {
			continue
		}
		for _, controller := range strings.Split(entry.Name(), ",") {
			found.trees[controller] = dir
		}
	}
	for _, needed := range []string{"cpu", "memory"} {
		if found.trees[needed] == "" {
			return files{}, fmt.Errorf("cgroups at %s: the %s controller is not there; mount it or boot with cgroup v2", mount, needed)
		}
	}
	return found, nil
}

// bases are the roots of all trees, each once.
func (f files) bases() []string {
	if f.unified {
		return []string{f.mount}
	}
	seen := map[string]bool{}
	var list []string
	for _, dir := range f.trees {
		if !seen[dir] {
			seen[dir] = true
			list = append(list, dir)
		}
	}
	// Beside the v1 trees there may be an almost empty v2 one, in which runc makes groups too.
	hybrid := filepath.Join(f.mount, "unified")
	if _, err := os.Stat(filepath.Join(hybrid, "cgroup.controllers")); err == nil && !seen[hybrid] {
		list = append(list, hybrid)
	}
	return list
}

// dir is a group's directory in the tree of a controller; empty if there is no such controller.
func (f files) dir(controller, group string) string {
	if f.unified {
		return filepath.Join(f.mount, group)
	}
	if f.trees[controller] == "" {
		return ""
	}
	return filepath.Join(f.trees[controller], group)
}

// create makes a group and its parents.
func (f files) create(group string) error {
	if f.unified {
		return f.createUnified(group)
	}
	for _, controller := range limiting {
		dir := f.dir(controller, group)
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if controller == "cpuset" {
			if err := inherit(f.trees["cpuset"], group); err != nil {
				return err
			}
		}
	}
	return nil
}

// inherit fills the empty cpuset of new groups from their parents: without CPUs no process can join.
func inherit(tree, group string) error {
	dir := tree
	for _, part := range strings.Split(strings.Trim(group, "/"), "/") {
		parent := dir
		dir = filepath.Join(dir, part)
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			have, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil || len(strings.TrimSpace(string(have))) > 0 {
				continue
			}
			given, err := os.ReadFile(filepath.Join(parent, file))
			if err != nil {
				return err
			}
			if err := write(dir, file, strings.TrimSpace(string(given))); err != nil {
				return err
			}
		}
	}
	return nil
}

// createUnified makes a group and hands every parent's controllers down to it.
func (f files) createUnified(group string) error {
	dir := f.mount
	for _, part := range append(strings.Split(strings.Trim(group, "/"), "/"), "") {
		available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil {
			return err
		}
		if part == "" {
			return f.delegate(dir, strings.Fields(string(available)))
		}
		if err := f.delegate(dir, strings.Fields(string(available))); err != nil {
			return err
		}
		dir = filepath.Join(dir, part)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// delegate enables controllers for the groups below dir.
func (f files) delegate(dir string, available []string) error {
	enabled, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, controller := range strings.Fields(string(enabled)) {
		have[controller] = true
	}
	for _, controller := range available {
		if have[controller] {
			continue
		}
		err := write(dir, "cgroup.subtree_control", "+"+controller)
		// Some, such as misc or rdma, cannot be had everywhere; nothing here needs them.
		if err != nil && (controller == "cpu" || controller == "memory" || controller == "pids") {
			return err
		}
	}
	return nil
}

// write sets one value, and leaves the file alone if it already has it.
func write(dir, file, value string) error {
	at := filepath.Join(dir, file)
	if have, err := os.ReadFile(at); err == nil && strings.TrimSpace(string(have)) == value {
		return nil
	}
	if err := os.WriteFile(at, []byte(value), 0o644); err != nil {
		return fmt.Errorf("write %q: %w", value, err)
	}
	return nil
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
