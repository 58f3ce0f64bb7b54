package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/PID/stat. Linux scales the sum of both times to what the scheduler has measured, so it is exact to a tick.
const tick = 10 * time.Millisecond

// used is the CPU time that a process has used so far; 0 for one that is not there.
func used(process *exec.Cmd) (time.Duration, error) {
	if process == nil {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process.Process.Pid))
	if err != nil {
		return 0, err
	}
	words := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.Atoi(words[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(words[12])
	return time.Duration(user+system) * tick, err
}

// resident is a process's memory in MB; 0 for one that is not there.
func resident(process *exec.Cmd) (float64, error) {
	if process == nil {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kb / 1024, err
}

// meter measures CPU between two moments.
type meter struct {
	s         *server
	api, etcd time.Duration
	began     time.Time
}

func (s *server) meter() (*meter, error) {
	m := &meter{s: s, began: time.Now()}
	var err error
	if m.api, err = used(s.api); err != nil {
		return nil, err
	}
	m.etcd, err = used(s.etcd)
	return m, err
}

// spent is what was used since the meter was started.
func (m *meter) spent() (api, etcd, elapsed time.Duration, err error) {
	elapsed = time.Since(m.began)
	if api, err = used(m.s.api); err != nil {
		return
	}
	etcd, err = used(m.s.etcd)
	return api - m.api, etcd - m.etcd, elapsed, err
}

// percentile of durations, which it sorts.
func percentile(all []time.Duration, of float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(of*float64(len(all))))]
}
