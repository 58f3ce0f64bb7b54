package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/septet-io/septet/pki"
)

// dataVersion is the form of the data directory. A directory of a newer form is not touched.
const dataVersion = 1

// claim makes the data directory this process's own: it is of a form that is understood, and no other server uses it.
func (o *Options) claim() error {
	p := paths{o.DataDir, o.NodeName}
	if err := os.MkdirAll(o.DataDir, 0o711); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := checkDataVersion(p); err != nil {
		return err
	}
	lock, err := os.OpenFile(p.pid(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	// The lock is the process's until it ends, however it ends; so the file is never closed.
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("data directory %s is used by process %s", o.DataDir, readPID(p))
	}
	if err := lock.Truncate(0); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	claimed = lock
	return nil
}

// claimed keeps the lock's file from being collected, which would close it.
var claimed *os.File

func readPID(p paths) string {
	text, err := os.ReadFile(p.pid())
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(text))
}

// runningPID is the process that has claimed a data directory, 0 if none does.
func runningPID(p paths) (int, error) {
	file, err := os.Open(p.pid())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return 0, nil // nobody holds it; closing the file lets go
	}
	return strconv.Atoi(readPID(p))
}

func checkDataVersion(p paths) error {
	text, err := os.ReadFile(p.version())
	if errors.Is(err, fs.ErrNotExist) {
		return pki.WriteFile(p.version(), []byte(strconv.Itoa(dataVersion)+"\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	found, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("data directory: %s does not say a version: remove the directory, or say another --data-dir", p.version())
	}
	if found > dataVersion {
		return fmt.Errorf("data directory %s was written by a newer septet (form %d, this one knows %d): use that one, or say another --data-dir", p.data, found, dataVersion)
	}
	return nil
}
