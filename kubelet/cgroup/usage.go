package cgroup

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Usage is what a group, with all below it, has taken up.
type Usage struct {
	Time time.Time
	// CPU is the processor time used since the group was made.
	CPU time.Duration
	// Memory in bytes, file cache included; WorkingSet is that without inactive file cache, which the kernel can take back: what eviction and
	// the OOM killer go by. RSS is anonymous memory. Limit is 0 if there is none.
	Memory, WorkingSet, RSS, Limit uint64
	Swap                           uint64
	// PageFaults and MajorPageFaults since the group was made.
	PageFaults, MajorPageFaults uint64
	Processes                   uint64
}

// Usage reads a group's use. The group "/" is the whole machine. fs.ErrNotExist if there is no such group.
func (t *Tree) Usage(group string) (Usage, error) {
	if strings.Trim(group, "/") == "" {
		return machine()
	}
	if t.files.unified {
		return t.files.usageV2(group)
	}
	return t.files.usageV1(group)
}

// noLimit is what v1 shows for none: the greatest multiple of a page that fits.
const noLimit = 1 << 62

func (f files) usageV1(group string) (Usage, error) {
	usage := Usage{Time: time.Now()}
	memory := f.dir("memory", group)
	var err error
	if usage.Memory, err = readNumber(memory, "memory.usage_in_bytes"); err != nil {
		return usage, err
	}
	stat, err := readTable(memory, "memory.stat")
	if err != nil {
		return usage, err
	}
	usage.WorkingSet = less(usage.Memory, stat["total_inactive_file"])
	usage.RSS, usage.Swap = stat["total_rss"], stat["total_swap"]
	usage.PageFaults, usage.MajorPageFaults = stat["total_pgfault"], stat["total_pgmajfault"]
	if usage.Limit, err = readNumber(memory, "memory.limit_in_bytes"); err != nil {
		return usage, err
	}
	if usage.Limit >= noLimit {
		usage.Limit = 0
	}
	if dir := f.dir("cpuacct", group); dir != "" {
		ns, err := readNumber(dir, "cpuacct.usage")
		if err != nil {
			return usage, err
		}
		usage.CPU = time.Duration(ns)
	}
	usage.Processes, err = optional(f.dir("pids", group), "pids.current")
	return usage, err
}

func (f files) usageV2(group string) (Usage, error) {
	usage, dir := Usage{Time: time.Now()}, filepath.Join(f.mount, group)
	var err error
	if usage.Memory, err = readNumber(dir, "memory.current"); err != nil {
		return usage, err
	}
	stat, err := readTable(dir, "memory.stat")
	if err != nil {
		return usage, err
	}
	usage.WorkingSet, usage.RSS = less(usage.Memory, stat["inactive_file"]), stat["anon"]
	usage.PageFaults, usage.MajorPageFaults = stat["pgfault"], stat["pgmajfault"]
	if usage.Limit, err = readNumber(dir, "memory.max"); err != nil {
		return usage, err
	}
	cpu, err := readTable(dir, "cpu.stat")
	if err != nil {
		return usage, err
	}
	usage.CPU = time.Duration(cpu["usage_usec"]) * time.Microsecond
	if usage.Swap, err = optional(dir, "memory.swap.current"); err != nil {
		return usage, err
	}
	usage.Processes, err = optional(dir, "pids.current")
	return usage, err
}

// clockTick is the unit of /proc/stat: USER_HZ is 100 on every architecture that Go runs on.
const clockTick = time.Second / 100

// machine reads the use of the whole machine, which cgroup roots do not tell.
func machine() (Usage, error) {
	usage := Usage{Time: time.Now()}
	mem, err := readTable("/proc", "meminfo")
	if err != nil {
		return usage, err
	}
	kb := func(name string) uint64 { return mem[name+":"] * 1024 }
	usage.Limit = kb("MemTotal")
	usage.Memory = less(kb("MemTotal"), kb("MemFree"))
	usage.WorkingSet = less(usage.Memory, kb("Inactive(file)"))
	usage.RSS = kb("AnonPages")
	usage.Swap = less(kb("SwapTotal"), kb("SwapFree"))
	vm, err := readTable("/proc", "vmstat")
	if err != nil {
		return usage, err
	}
	usage.PageFaults, usage.MajorPageFaults = vm["pgfault"], vm["pgmajfault"]
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	for i, field := range strings.Fields(string(line))[1:] {
		if i == 3 || i == 4 || i > 7 { // idle, iowait; guest time is in user time already
			continue
		}
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return usage, err
		}
		usage.CPU += time.Duration(ticks) * clockTick
	}
	return usage, nil
}

// Capacity is what this machine has: cores and bytes of memory and swap.
func Capacity() (cores int, memory, swap uint64, err error) {
	mem, err := readTable("/proc", "meminfo")
	return runtime.NumCPU(), mem["MemTotal:"] * 1024, mem["SwapTotal:"] * 1024, err
}

func less(a, b uint64) uint64 {
	if b > a {
		return 0
	}
	return a - b
}

func optional(dir, file string) (uint64, error) {
	if dir == "" {
		return 0, nil
	}
	n, err := readNumber(dir, file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return n, err
}

// readNumber reads a file with one number; "max" is 0.
func readNumber(dir, file string) (uint64, error) {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(data))
	if text == "max" {
		return 0, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

// readTable reads a file of lines that are a name and a number.
func readTable(dir, file string) (map[string]uint64, error) {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return nil, err
	}
	table := map[string]uint64{}
	for scanner := bufio.NewScanner(bytes.NewReader(data)); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 2 {
			continue
		}
		if n, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
			table[fields[0]] = n
		}
	}
	return table, nil
}
