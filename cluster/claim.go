package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/septet-io/septet/pki"
)

// dataVersion is the form of the data directory. A directory of a newer form is not touched.
const dataVersion = 1

// claim makes the data directory this process's own: it is of a form that is understood, and no other server uses it. The caller
// keeps the lock until it ends.
func (o *Options) claim() (*os.File, error) {
	p := paths{o.DataDir, o.NodeName}
	if err := os.MkdirAll(o.DataDir, 0o711); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := checkDataVersion(p); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(p.pid(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	// The kernel lets go of the lock when the process ends, however it ends.
	if err := lockPatiently(lock); err != nil {
		lock.Close()
		return nil, fmt.Errorf("data directory %s is used by process %s", o.DataDir, readPID(p))
	}
	if err := lock.Truncate(0); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := p.rememberHost(kernelSettings); err != nil {
		lock.Close()
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return lock, nil
}

// lockPatiently tries for a moment: somebody who only looks whether a server runs holds the lock too, for an instant.
func lockPatiently(file *os.File) error {
	var err error
	for range 10 {
		if err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

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
