package image

import (
	"context"
	"fmt"
	"sort"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
)

// CollectorConfig says when images are removed, as KubeletConfiguration does.
type CollectorConfig struct {
	// HighPercent of the disk in use starts a collection, which ends at LowPercent.
	HighPercent, LowPercent int
	// MinAge protects images that were last used more recently; MaxAge, if not
	// zero, removes those that were not used for longer.
	MinAge, MaxAge time.Duration
}

// Collector removes images that no container uses.
type Collector struct {
	runtime cri.Runtime
	config  CollectorConfig
	// usage says how full the disk is: its size and what is left, in bytes.
	usage func(mountpoint string) (capacity, available uint64, err error)
	// seen is when an image was last in use, or first found, by id.
	seen map[string]time.Time
}

// NewCollector returns a Collector; it is not safe for concurrent use.
func NewCollector(runtime cri.Runtime, config CollectorConfig) *Collector {
	return &Collector{runtime: runtime, config: config, usage: statfs, seen: map[string]time.Time{}}
}

// Collect removes images that are too old, and more if the disk is too full. An
// error says that not enough could be freed.
func (c *Collector) Collect(ctx context.Context) error {
	idle, err := c.idle(ctx, time.Now())
	if err != nil {
		return err
	}
	if c.config.MaxAge > 0 {
		idle = c.removeOlder(ctx, idle, time.Now().Add(-c.config.MaxAge))
	}
	if c.config.HighPercent >= 100 {
		return nil
	}
	info, err := c.runtime.ImageFsInfo(ctx)
	if err != nil {
		return fmt.Errorf("image file system: %w", err)
	}
	for _, fs := range info.GetImageFilesystems() {
		if err := c.free(ctx, fs.GetFsId().GetMountpoint(), idle); err != nil {
			return err
		}
	}
	return nil
}

// RemoveUnused removes every image that nothing uses, because the node is short
// of disk.
func (c *Collector) RemoveUnused(ctx context.Context) error {
	idle, err := c.idle(ctx, time.Now())
	if err != nil {
		return err
	}
	_, err = c.remove(ctx, idle, ^uint64(0), time.Now())
	return err
}

// idle returns the images that nothing uses, longest unused first.
func (c *Collector) idle(ctx context.Context, now time.Time) ([]*runtimeapi.Image, error) {
	images, err := c.runtime.ListImages(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	containers, err := c.runtime.ListContainers(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	used := map[string]bool{}
	for _, container := range containers {
		used[container.GetImageRef()] = true
		used[container.GetImageId()] = true
		used[container.GetImage().GetImage()] = true
	}
	var idle []*runtimeapi.Image
	present := make(map[string]time.Time, len(images))
	for _, image := range images {
		since, known := c.seen[image.GetId()]
		if inUse(image, used) || !known {
			since = now
		}
		present[image.GetId()] = since
		if !inUse(image, used) && !image.GetPinned() {
			idle = append(idle, image)
		}
	}
	c.seen = present
	sort.SliceStable(idle, func(i, j int) bool { return present[idle[i].GetId()].Before(present[idle[j].GetId()]) })
	return idle, nil
}

func inUse(image *runtimeapi.Image, used map[string]bool) bool {
	if used[image.GetId()] {
		return true
	}
	for _, list := range [][]string{image.GetRepoTags(), image.GetRepoDigests()} {
		for _, name := range list {
			if used[name] {
				return true
			}
		}
	}
	return false
}

func (c *Collector) removeOlder(ctx context.Context, idle []*runtimeapi.Image, before time.Time) []*runtimeapi.Image {
	var kept []*runtimeapi.Image
	for _, image := range idle {
		if c.seen[image.GetId()].After(before) {
			kept = append(kept, image)
			continue
		}
		if err := c.runtime.RemoveImage(ctx, &runtimeapi.ImageSpec{Image: image.GetId()}); err != nil {
			klog.FromContext(ctx).Error(err, "Could not remove an old image", "image", image.GetId())
			kept = append(kept, image)
		}
	}
	return kept
}

func (c *Collector) free(ctx context.Context, mountpoint string, idle []*runtimeapi.Image) error {
	capacity, available, err := c.usage(mountpoint)
	if err != nil {
		return fmt.Errorf("file system of images at %s: %w", mountpoint, err)
	}
	if capacity == 0 || 100-int(available*100/capacity) < c.config.HighPercent {
		return nil
	}
	wanted := capacity*uint64(100-c.config.LowPercent)/100 - min(available, capacity*uint64(100-c.config.LowPercent)/100)
	freed, err := c.remove(ctx, idle, wanted, time.Now().Add(-c.config.MinAge))
	if err != nil {
		return err
	}
	if freed < wanted {
		return fmt.Errorf("Failed to garbage collect required amount of images. Attempted to free %d bytes, but only found %d bytes eligible to free.", wanted, freed)
	}
	return nil
}

// remove removes images last used before a moment until so many bytes are free.
func (c *Collector) remove(ctx context.Context, idle []*runtimeapi.Image, wanted uint64, before time.Time) (uint64, error) {
	var freed uint64
	for _, image := range idle {
		if freed >= wanted {
			break
		}
		if c.seen[image.GetId()].After(before) {
			continue
		}
		if err := c.runtime.RemoveImage(ctx, &runtimeapi.ImageSpec{Image: image.GetId()}); err != nil {
			return freed, fmt.Errorf("remove image %s: %w", image.GetId(), err)
		}
		freed += image.GetSize()
	}
	return freed, nil
}

func statfs(mountpoint string) (capacity, available uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(mountpoint, &s); err != nil {
		return 0, 0, err
	}
	return s.Blocks * uint64(s.Bsize), s.Bavail * uint64(s.Bsize), nil
}
