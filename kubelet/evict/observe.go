package evict

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Measure measures the node: the memory and process ids of the machine, the disk
// of the kubelet's root and that of the runtime's images (empty if not known).
// memory is what is used and cannot be reclaimed, of how much.
func Measure(rootDir, imageDir string, memory func() (workingSet, capacity int64, err error)) (map[Signal]Observation, error) {
	out := map[Signal]Observation{}
	used, capacity, err := memory()
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	out[MemoryAvailable] = Observation{Available: max(capacity-used, 0), Capacity: capacity}
	if err := disk(out, rootDir, NodeFsAvailable, NodeFsInodesFree); err != nil {
		return nil, err
	}
	if imageDir != "" {
		if err := disk(out, imageDir, ImageFsAvailable, ImageFsInodesFree); err != nil {
			return nil, err
		}
	}
	if limit, running, ok := processes(); ok {
		out[PIDAvailable] = Observation{Available: limit - running, Capacity: limit}
	}
	return out, nil
}

func disk(out map[Signal]Observation, path string, space, inodes Signal) error {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return fmt.Errorf("file system of %s: %w", path, err)
	}
	out[space] = Observation{Available: int64(s.Bavail) * s.Bsize, Capacity: int64(s.Blocks) * s.Bsize}
	if s.Files > 0 { // some file systems have no fixed number of inodes
		out[inodes] = Observation{Available: int64(s.Ffree), Capacity: int64(s.Files)}
	}
	return nil
}

// processes reads how many process ids there are and how many are in use.
func processes() (limit, running int64, ok bool) {
	for _, file := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			return 0, 0, false
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		if err != nil {
			return 0, 0, false
		}
		if limit == 0 || n < limit {
			limit = n
		}
	}
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, 0, false
	}
	words := strings.Fields(string(raw)) // "0.1 0.2 0.3 2/345 6789": running of all
	if len(words) < 4 {
		return 0, 0, false
	}
	_, all, found := strings.Cut(words[3], "/")
	running, err = strconv.ParseInt(all, 10, 64)
	return limit, running, found && err == nil
}

// ProcMemory reads the machine's memory where there is no control group to ask.
func ProcMemory() (workingSet, capacity int64, err error) {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, err
	}
	values := map[string]int64{}
	for _, line := range strings.Split(string(raw), "\n") {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(words[1], 10, 64); err == nil {
			values[strings.TrimSuffix(words[0], ":")] = n << 10
		}
	}
	return values["MemTotal"] - values["MemAvailable"], values["MemTotal"], nil
}
