// Package memory gives back what a process that has become quiet does not need: garbage that no collection is due for, and pages of
// the program that only its start, or a burst of work, has used.
package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// interval is how often a process looks at itself: often enough to count as soon, rare enough to cost nothing.
	interval = 15 * time.Second
	// quiet is how much a process that is at rest allocates in an interval, in bytes.
	quiet = 16 << 20
	// worth is how much garbage makes it worth the tens of milliseconds that it costs to give memory back, in bytes.
	worth = 48 << 20
)

// Trim gives memory back, whenever the process has allocated much and then come to rest, until ctx ends.
func Trim(ctx context.Context) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var t trimmer
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if t.due(allocated()) {
				debug.FreeOSMemory()
				unmapProgram()
			}
		}
	}
}

// trimmer decides when.
type trimmer struct{ last, trimmed uint64 }

// due is asked each interval with all that the process has ever allocated, in bytes.
func (t *trimmer) due(allocated uint64) bool {
	busy := allocated-t.last > quiet
	t.last = allocated
	if busy || allocated-t.trimmed < worth {
		return false
	}
	t.trimmed = allocated
	return true
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
