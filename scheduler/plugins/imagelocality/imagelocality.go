// Package imagelocality prefers nodes that already have a pod's images, the more so the larger they are and the more nodes have them.
package imagelocality

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Name of the plugin.
const Name = "ImageLocality"

// Sums of image sizes below the first give 0, above the second times the number of containers the best score.
const (
	mb           = int64(1 << 20)
	minThreshold = 23 * mb
	maxPerImage  = 1000 * mb
)

// Plugin is ImageLocality.
type Plugin struct{}

// New returns the plugin.
func New() *Plugin { return &Plugin{} }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// CompileScore implements plugin.ScoreColumns. What it depends on beside the row is guarded: on how many nodes each image is, and of how many.
func (*Plugin) CompileScore(c *plugin.Compile) plugin.ColumnScorer {
	s := c.Snapshot
	names := images(c.Shape.Spec)
	known := names[:0:0]
	for _, name := range names {
		if s.ImageKnown(name) {
			known = append(known, name)
		}
	}
	if len(known) == 0 {
		seq := s.ImageSeq()
		c.Guard(func() bool {
			if seq == s.ImageSeq() {
				return true
			}
			seq = s.ImageSeq()
			for _, name := range names {
				if s.ImageKnown(name) {
					return false
				}
			}
			return true
		})
		return nil
	}
	sc := &scorer{snapshot: s, images: known, count: int64(len(names)), total: s.Nodes()}
	before, seq := sc.spread(names), s.ImageSeq()
	c.Guard(func() bool {
		if seq == s.ImageSeq() {
			return true
		}
		seq = s.ImageSeq()
		return sc.total == s.Nodes() && sc.spread(names) == before
	})
	return sc
}

type scorer struct {
	snapshot *snapshot.Snapshot
	images   []string
	count    int64
	total    int
}

// spread sums up sizes and node counts in a way that almost surely differs when one of them does.
func (s *scorer) spread(names []string) (sum int64) {
	for i, name := range names {
		size, nodes, _ := s.snapshot.ImageOn(-1, name)
		sum = sum*1000003 + size*31 + int64(nodes) + int64(i)
	}
	return sum
}

// Score implements plugin.RowScorer.
func (s *scorer) Score(row int32) int64 {
	var sum int64
	for _, name := range s.images {
		if size, nodes, ok := s.snapshot.ImageOn(row, name); ok {
			sum += int64(float64(size) * (float64(nodes) / float64(s.total)))
		}
	}
	highest := maxPerImage * s.count
	sum = max(minThreshold, min(sum, highest))
	return plugin.MaxScore * (sum - minThreshold) / (highest - minThreshold)
}

func images(spec *corev1.PodSpec) (names []string) {
	for i := range spec.InitContainers {
		names = append(names, snapshot.NormalizeImage(spec.InitContainers[i].Image))
	}
	for i := range spec.Containers {
		names = append(names, snapshot.NormalizeImage(spec.Containers[i].Image))
	}
	for i := range spec.Volumes {
		if image := spec.Volumes[i].Image; image != nil {
			names = append(names, snapshot.NormalizeImage(image.Reference))
		}
	}
	return names
}
