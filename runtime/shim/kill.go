package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kill sends a signal to a container's first process. Where that is not the first of a PID namespace, or where the
// container is frozen, SIGKILL takes more, and is left to runc.
func (c call) kill() (verdict, string) {
	s, err := c.readState()
	if err != nil || len(c.rest) != 1 {
		return leave, ""
	}
	number, err := strconv.Atoi(c.rest[0])
	if err != nil {
		return leave, ""
	}
	signal := unix.Signal(number)
	if signal == unix.SIGKILL && (!s.ownPIDs() || s.frozen()) {
		return leave, ""
	}
	if s.running() {
		err := unix.Kill(s.PID, signal)
		if err == nil {
			return done, ""
		}
		if !errors.Is(err, unix.ESRCH) {
			return leave, ""
		}
	}
	if c.all {
		return done, ""
	}
	return failed, "container not running"
}

// frozen says if the container's cgroup is frozen, or may be.
func (s *state) frozen() bool {
	if dir, ok := s.CgroupPaths["freezer"]; ok { // cgroup v1
		now, err := os.ReadFile(filepath.Join(dir, "freezer.state"))
		return err == nil && strings.TrimSpace(string(now)) != "THAWED"
	}
	if dir, ok := s.CgroupPaths[""]; ok { // cgroup v2
		now, err := os.ReadFile(filepath.Join(dir, "cgroup.freeze"))
		return err == nil && strings.TrimSpace(string(now)) != "0"
	}
	return false
}
