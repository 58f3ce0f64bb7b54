package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// delete removes what is left of a container that has ended: cgroups and state. Containers that still run, or that share
// a PID namespace and may have processes left, and those with hooks, are left to runc.
func (c call) delete() (verdict, string) {
	s, err := c.readState()
	if errors.Is(err, fs.ErrNotExist) && c.force {
		if os.RemoveAll(c.dir()) != nil {
			return leave, ""
		}
		return done, ""
	}
	if err != nil || s.running() || !s.ownPIDs() || s.IntelRdt != "" || len(s.Config.Hooks["poststop"]) > 0 {
		return leave, ""
	}
	for _, dir := range s.CgroupPaths {
		if removeCgroup(dir) != nil {
			return leave, ""
		}
	}
	if os.RemoveAll(c.dir()) != nil {
		return leave, ""
	}
	return done, ""
}

// removeCgroup removes a cgroup and those below it. The kernel lets go of one a moment after its last process.
func removeCgroup(dir string) error {
	var err error
	for pause := time.Millisecond; pause < 200*time.Millisecond; pause *= 2 {
		if err = unix.Rmdir(dir); err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		entries, e := os.ReadDir(dir)
		if e != nil {
			return e
		}
		for _, entry := range entries {
			if entry.IsDir() {
				if e := removeCgroup(filepath.Join(dir, entry.Name())); e != nil {
					return e
				}
			}
		}
		time.Sleep(pause)
	}
	return err
}
