package carried

import (
	"os"
	"path/filepath"
	"strings"
)

// removeOlder removes the folders below root that hold the same programs as current in older versions, unless a process
// runs from them: shims of pods that outlived an upgrade do, and containerd calls them by path when the pod ends.
func removeOlder(root, current string, names []string) error {
	folders, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	var running []string
	for _, folder := range folders {
		dir := filepath.Join(root, folder.Name())
		if dir == current || !holds(dir, names) {
			continue
		}
		if running == nil {
			if running, err = executables(); err != nil {
				return err
			}
		}
		if !anyBelow(dir, running) {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// holds says if a folder is an older version of the set: it holds these programs and no others.
func holds(dir string, names []string) bool {
	found, err := os.ReadDir(dir)
	if err != nil || len(found) != len(names) {
		return false // in use, half written or not ours: leave it
	}
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// executables lists the files that the machine's processes run.
func executables() ([]string, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, err
	}
	found := make([]string, 0, len(links))
	for _, link := range links {
		// A process that has ended, or that belongs to somebody mightier, runs nothing of ours.
		if file, err := os.Readlink(link); err == nil {
			found = append(found, file)
		}
	}
	return found, nil
}

func anyBelow(dir string, paths []string) bool {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for _, path := range paths {
		if strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}
