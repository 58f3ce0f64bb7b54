// Package payload writes a set of files into a volume as one atomic change, as users of
// configMap, secret, downwardAPI and projected volumes rely on: a reader sees all of the old files or all of the new ones.
//
// The files of one version lie in a directory of their own, which the link ..data names; what users see are
// links through it. Replacing ..data by rename(2) is the switch:
//
//	name      -> ..data/name
//	..data    -> ..2026_01_02_15_04_05.1234
//	..2026_01_02_15_04_05.1234/name
package payload

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// File is one file to write.
type File struct {
	Data []byte
	// Mode are the permission bits, 0 to 0777.
	Mode int32
	// User owns the file if not nil; otherwise whoever writes it.
	User *int64
}

// Payload maps slash-separated relative paths to files.
type Payload map[string]File

const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
)

// Write makes dir hold exactly the payload. group, if not nil, owns all of it and may read it. The result
// says whether anything had to change.
func Write(dir string, files Payload, group *int64) (changed bool, err error) {
	for name := range files {
		if err := checkPath(name); err != nil {
			return false, err
		}
	}
	old, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if old != "" && same(filepath.Join(dir, old), files) {
		return false, linkNames(dir, files)
	}
	version, err := writeVersion(dir, files, group)
	if err != nil {
		return false, err
	}
	if err := switchTo(dir, version); err != nil {
		return false, errors.Join(err, os.RemoveAll(filepath.Join(dir, version)))
	}
	if err := linkNames(dir, files); err != nil {
		return true, err
	}
	return true, sweep(dir, version, files)
}

// checkPath refuses what would lie outside the volume or collide with the links above.
func checkPath(name string) error {
	switch {
	case name == "" || name == ".":
		return errors.New("invalid path: must not be empty")
	case path.IsAbs(name):
		return fmt.Errorf("invalid path: must be relative path: %s", name)
	case len(name) > 4096:
		return errors.New("invalid path: must be less than or equal to 4096 characters")
	case strings.HasPrefix(name, ".."):
		return fmt.Errorf("invalid path: must not start with '..': %s", name)
	}
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return fmt.Errorf("invalid path: must not contain '..': %s", name)
		}
		if len(part) > 255 {
			return fmt.Errorf("invalid path: filename must be less than or equal to 255 characters: %s", name)
		}
	}
	return nil
}

// same says whether the version in dir holds exactly these files.
func same(dir string, files Payload) bool {
	count := 0
	err := filepath.WalkDir(dir, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		want, ok := files[name]
		if !ok {
			return fs.ErrNotExist
		}
		have, err := os.ReadFile(at)
		if err != nil || !bytes.Equal(have, want.Data) {
			return errors.Join(fs.ErrNotExist, err)
		}
		count++
		return nil
	})
	return err == nil && count == len(files)
}

// writeVersion writes the files into a fresh directory below dir and returns its name.
func writeVersion(dir string, files Payload, group *int64) (string, error) {
	full, err := os.MkdirTemp(dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return "", err
	}
	err = writeFiles(full, files, group)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(full))
	}
	return filepath.Base(full), nil
}

func writeFiles(full string, files Payload, group *int64) error {
	if err := ownDir(full, group); err != nil {
		return err
	}
	for name, file := range files {
		at := filepath.Join(full, name)
		for parent := filepath.Dir(at); len(parent) > len(full); parent = filepath.Dir(parent) {
			if err := os.MkdirAll(parent, 0o755); err != nil {
				return err
			}
			if err := ownDir(parent, group); err != nil {
				return err
			}
		}
		if err := writeFile(at, file, group); err != nil {
			return err
		}
	}
	return nil
}

// writeFile sets the mode apart from creating it: the process's umask must not count.
func writeFile(at string, file File, group *int64) error {
	if err := os.WriteFile(at, file.Data, 0o600); err != nil {
		return err
	}
	user, owner, mode := -1, -1, fs.FileMode(file.Mode).Perm()
	if file.User != nil {
		user = int(*file.User)
	}
	if group != nil {
		owner, mode = int(*group), mode|0o440
	}
	if user >= 0 || owner >= 0 {
		if err := os.Lchown(at, user, owner); err != nil {
			return err
		}
	}
	return os.Chmod(at, mode)
}

func ownDir(at string, group *int64) error {
	mode := fs.FileMode(0o755)
	if group != nil {
		if err := os.Lchown(at, -1, int(*group)); err != nil {
			return err
		}
		mode |= fs.ModeSetgid | 0o550
	}
	return os.Chmod(at, mode)
}

// switchTo makes version the visible one in one step.
func switchTo(dir, version string) error {
	next := filepath.Join(dir, newDataLink)
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(version, next); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(dir, dataLink))
}

// linkNames makes the links that users see, one for each first path element.
func linkNames(dir string, files Payload) error {
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		link, target := filepath.Join(dir, top), filepath.Join(dataLink, top)
		if have, err := os.Readlink(link); err == nil && have == target {
			continue
		}
		if err := os.Symlink(target, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// sweep removes links to names that are gone and all versions but the current one.
func sweep(dir, version string, files Payload) error {
	wanted := map[string]bool{dataLink: true, version: true}
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		wanted[top] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		at := filepath.Join(dir, entry.Name())
		switch {
		case wanted[entry.Name()]:
		case strings.HasPrefix(entry.Name(), "..") && entry.IsDir():
			errs = append(errs, os.RemoveAll(at))
		case entry.Type()&fs.ModeSymlink != 0:
			errs = append(errs, os.Remove(at))
		}
	}
	return errors.Join(errs...)
}
