package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// setting is one value in one file.
type setting struct{ controller, file, value string }

// apply writes limits. A controller or file that the host lacks is left out if it is one that not every kernel has (pids, hugetlb).
func (f files) apply(group string, limits Limits) error {
	settings := v1Settings(limits)
	if f.unified {
		settings = v2Settings(limits)
	}
	for _, s := range settings {
		dir := f.dir(s.controller, group)
		if dir == "" {
			continue
		}
		err := write(dir, s.file, s.value)
		if errors.Is(err, fs.ErrNotExist) && (s.controller == "hugetlb" || s.controller == "pids") {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func v1Settings(l Limits) []setting {
	var list []setting
	add := func(controller, file string, value int64) {
		list = append(list, setting{controller, file, number(value)})
	}
	if l.Shares != 0 {
		add("cpu", "cpu.shares", l.Shares)
	}
	if l.Quota != 0 {
		if l.Period != 0 {
			add("cpu", "cpu.cfs_period_us", l.Period)
		}
		add("cpu", "cpu.cfs_quota_us", l.Quota)
	}
	if l.Memory != 0 {
		add("memory", "memory.limit_in_bytes", l.Memory)
	}
	switch {
	case l.Pids > 0:
		add("pids", "pids.max", l.Pids)
	case l.Pids < 0:
		list = append(list, setting{"pids", "pids.max", "max"})
	}
	for size, bytes := range l.HugePages {
		add("hugetlb", "hugetlb."+size+".limit_in_bytes", bytes)
	}
	return list
}

func v2Settings(l Limits) []setting {
	var list []setting
	add := func(controller, file, value string) { list = append(list, setting{controller, file, value}) }
	if l.Shares != 0 {
		add("cpu", "cpu.weight", number(Weight(l.Shares)))
	}
	if l.Quota != 0 {
		period := l.Period
		if period == 0 {
			period = defaultPeriod
		}
		add("cpu", "cpu.max", fmt.Sprintf("%s %d", orMax(l.Quota), period))
	}
	if l.Memory != 0 {
		add("memory", "memory.max", orMax(l.Memory))
	}
	if l.Pids != 0 {
		add("pids", "pids.max", orMax(l.Pids))
	}
	for size, bytes := range l.HugePages {
		add("hugetlb", "hugetlb."+size+".max", number(bytes))
	}
	return list
}

func orMax(n int64) string {
	if n < 0 {
		return "max"
	}
	return number(n)
}

// exists says whether the group is there in any tree.
func (f files) exists(group string) bool {
	for _, base := range f.bases() {
		if _, err := os.Stat(filepath.Join(base, group)); err == nil {
			return true
		}
	}
	return false
}
