// Package rotate keeps containers' logs from growing for ever: a log that exceeds
// its size is put aside under the time of day, compressed, and only so many are
// kept (containerLogMaxSize, containerLogMaxFiles).
package rotate

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
)

// Config of a Rotator.
type Config struct {
	Runtime cri.Containers
	// MaxSize in bytes; not positive means that logs are not rotated.
	MaxSize int64
	// MaxFiles of one container, the one being written included; at least 2.
	MaxFiles int
	// Every is how often sizes are looked at.
	Every time.Duration
}

// stamp is how files that were put aside are named; it sorts by time.
const stamp = "20060102-150405"

// Suffixes of files that were put aside and compressed, and of those being so.
const (
	compressed = ".gz"
	partial    = ".tmp"
)

// Run rotates until ctx ends.
func Run(ctx context.Context, config Config) {
	if config.MaxSize <= 0 || config.MaxFiles < 2 {
		return
	}
	ticker := time.NewTicker(config.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := config.once(ctx, time.Now()); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Could not rotate containers' logs")
		}
	}
}

func (c *Config) once(ctx context.Context, now time.Time) error {
	running, err := c.Runtime.ListContainers(ctx, &runtimeapi.ContainerFilter{
		State: &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING},
	})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, container := range running {
		resp, err := c.Runtime.ContainerStatus(ctx, container.GetId(), false)
		if cri.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("container %s: %w", container.GetId(), err)
		}
		path := resp.GetStatus().GetLogPath()
		info, err := os.Stat(path)
		if err != nil || info.Size() < c.MaxSize {
			continue // a log that is not there yet is not too large
		}
		if err := c.rotate(ctx, container.GetId(), path, now); err != nil {
			klog.FromContext(ctx).Error(err, "Could not rotate a container's log", "path", path)
		}
	}
	return nil
}

// rotate puts the log aside, has the runtime open another, and tidies up.
func (c *Config) rotate(ctx context.Context, id, path string, now time.Time) error {
	if err := c.tidy(path); err != nil {
		return err
	}
	aside := path + "." + now.Format(stamp)
	if err := os.Rename(path, aside); err != nil {
		return err
	}
	if err := c.Runtime.ReopenContainerLog(ctx, id); err != nil {
		// The container still writes to the old file: put it back.
		if back := os.Rename(aside, path); back != nil {
			return fmt.Errorf("%w; and it could not be put back: %v", err, back)
		}
		return fmt.Errorf("reopen log: %w", err)
	}
	return nil
}

// tidy compresses what was put aside earlier and removes what is too much. The
// newest of them stays as it is: readers may still be in it.
func (c *Config) tidy(path string) error {
	files, err := filepath.Glob(path + ".*")
	if err != nil {
		return err
	}
	sort.Strings(files)
	var kept []string
	for _, file := range files {
		if strings.HasSuffix(file, partial) {
			if err := os.Remove(file); err != nil {
				return err
			}
			continue
		}
		kept = append(kept, file)
	}
	// With the log being written and the one about to be put aside.
	for len(kept) > c.MaxFiles-2 {
		if err := os.Remove(kept[0]); err != nil {
			return err
		}
		kept = kept[1:]
	}
	for _, file := range kept {
		if strings.HasSuffix(file, compressed) {
			continue
		}
		if err := compress(file); err != nil {
			return err
		}
	}
	return nil
}

func compress(file string) (err error) {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	temporary := file + partial
	out, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temporary)
		}
	}()
	z := gzip.NewWriter(out)
	if _, err = io.Copy(z, in); err == nil {
		err = z.Close()
	}
	if closing := out.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("compress %s: %w", file, err)
	}
	if err = os.Rename(temporary, file+compressed); err != nil {
		return err
	}
	return os.Remove(file)
}
