package main

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

// cgroups are a sandbox's control groups, one in each hierarchy of the host: a single one with cgroup v2, about ten with
// cgroup v1.
type cgroups struct {
	paths   map[string]string // by controller, as runc notes them; "" is cgroup v2
	unified string            // the only one, if the host has cgroup v2 alone
}

// hierarchies lists the host's cgroup mounts by controller.
func hierarchies() (map[string]string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range strings.Lines(string(mounts)) {
		field := strings.Fields(line)
		if len(field) < 4 {
			continue
		}
		switch field[2] {
		case "cgroup2":
			found[""] = field[1]
		case "cgroup":
			for option := range strings.SplitSeq(field[3], ",") {
				if name, named := strings.CutPrefix(option, "name="); named {
					found[name] = field[1]
				} else if controllers[option] {
					found[option] = field[1]
				}
			}
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no cgroups are mounted")
	}
	if len(found) > 1 {
		delete(found, "") // a hybrid host's cgroup v2 has no controllers, and takes no threads
	}
	return found, nil
}

// controllers are those of cgroup v1; other mount options are none.
var controllers = map[string]bool{
	"blkio": true, "cpu": true, "cpuacct": true, "cpuset": true, "devices": true, "freezer": true, "hugetlb": true,
	"memory": true, "misc": true, "net_cls": true, "net_prio": true, "perf_event": true, "pids": true, "rdma": true,
}

// makeCgroups makes a cgroup in every hierarchy, with the CPU shares where there is a CPU controller.
func makeCgroups(path string, shares *uint64) (*cgroups, error) {
	mounted, err := hierarchies()
	if err != nil {
		return nil, err
	}
	g := &cgroups{paths: map[string]string{}}
	for controller, mount := range mounted {
		dir := filepath.Join(mount, path)
		g.paths[controller] = dir
		if err := os.MkdirAll(dir, 0o755); err != nil {
			g.remove()
			return nil, err
		}
	}
	g.unified = g.paths[""]
	if err := g.prepare(mounted["cpuset"], path, shares); err != nil {
		g.remove()
		return nil, err
	}
	return g, nil
}

func (g *cgroups) prepare(cpuset, path string, shares *uint64) error {
	if cpuset != "" {
		if err := inheritCPUs(cpuset, path); err != nil {
			return err
		}
	}
	if shares == nil {
		return nil
	}
	if dir, ok := g.paths["cpu"]; ok {
		return setFile(filepath.Join(dir, "cpu.shares"), strconv.FormatUint(*shares, 10))
	}
	if g.unified != "" {
		// Absent if the parent does not hand the controller down; then there is nothing to share by.
		weight := 1 + (max(*shares, 2)-2)*9999/262142
		err := setFile(filepath.Join(g.unified, "cpu.weight"), strconv.FormatUint(weight, 10))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// setFile writes to a file of the kernel's; unlike os.WriteFile, it does not try to make one.
func setFile(name, value string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// inheritCPUs fills cpuset.cpus and cpuset.mems of a cgroup v1 and of its parents from their parents': nobody can enter
// while they are empty (cgroups-v1/cpusets of the kernel's documentation).
func inheritCPUs(mount, path string) error {
	dir := mount
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		child := filepath.Join(dir, name)
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			have, err := os.ReadFile(filepath.Join(child, file))
			if err != nil {
				return err
			}
			if strings.TrimSpace(string(have)) != "" {
				continue
			}
			parent, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				return err
			}
			if err := setFile(filepath.Join(child, file), string(parent)); err != nil {
				return err
			}
		}
		dir = child
	}
	return nil
}

// enter moves the calling thread into the cgroups, so that what it starts is born there. With cgroup v2 alone, where
// threads cannot move, it returns the cgroup's descriptor to start into. Both spare the kernel's wait for all processes,
// more than 10 ms, that moving a process takes.
func (g *cgroups) enter() (*os.File, error) {
	if g.unified != "" {
		return os.OpenFile(g.unified, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	for _, dir := range g.paths {
		if err := setFile(filepath.Join(dir, "tasks"), "0"); err != nil {
			return nil, fmt.Errorf("entering %s: %w", dir, err)
		}
	}
	return nil, nil
}

func (g *cgroups) remove() {
	for _, dir := range g.paths {
		_ = removeCgroup(dir) // what cannot be removed is left to runc, which will say so
	}
}
