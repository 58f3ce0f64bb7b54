package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// state is the part of runc's state.json (libcontainer.State) that quick reads, and all that it writes for a sandbox.
type state struct {
	PID         int               `json:"init_process_pid"`
	Started     uint64            `json:"init_process_start"`
	CgroupPaths map[string]string `json:"cgroup_paths"`
	IntelRdt    string            `json:"intel_rdt_path,omitempty"`
	// Sandbox says that quick made this container, not runc.
	Sandbox bool `json:"septet_sandbox,omitempty"`
	Config  struct {
		Namespaces []struct {
			Type string `json:"type"`
			Path string `json:"path"`
		} `json:"namespaces"`
		Hooks map[string][]json.RawMessage `json:"Hooks,omitempty"`
	} `json:"config"`
}

func (c call) readState() (*state, error) {
	content, err := os.ReadFile(filepath.Join(c.dir(), "state.json"))
	if err != nil {
		return nil, err
	}
	s := &state{}
	return s, json.Unmarshal(content, s)
}

// ownPIDs says if the container has a PID namespace of its own, so that its processes end with its first one.
func (s *state) ownPIDs() bool {
	if s.Sandbox {
		return true // nothing is ever started beside pause
	}
	for _, n := range s.Config.Namespaces {
		if n.Type == "NEWPID" {
			return n.Path == ""
		}
	}
	return false
}

// running says if the container's first process is still the one of the state, and alive.
func (s *state) running() bool {
	started, alive := processStart(s.PID)
	return alive && started == s.Started
}

// processStart is field 22 of /proc/<pid>/stat (proc(5)), in clock ticks after boot; false if the process has ended. The
// second field is in brackets and may hold anything.
func processStart(pid int) (uint64, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return 0, false
	}
	started, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return started, err == nil
}
