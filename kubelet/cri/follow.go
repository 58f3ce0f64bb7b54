package cri

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

// Change says that something happened to a container or sandbox of a pod. It is
// a hint to look again, not the news itself: the runtime replays old events when
// a stream opens, and an event's contents may be older than what a call returned.
type Change struct {
	Pod types.UID
	// ID is the container's, or the sandbox's.
	ID      string
	Sandbox bool
	Deleted bool
}

// Watcher is told what happens in the runtime.
type Watcher interface {
	// Changed is called for each change, in order; it must not block.
	Changed(Change)
	// Resync is called when changes may have been missed: after the stream of
	// events was opened anew, and in each round where the runtime has no events.
	Resync()
}

// relistEvery is how often the runtime is asked where it has no events. It is
// upstream's relist period.
const relistEvery = time.Second

// Follow tells watcher what happens in the runtime until ctx ends. It reopens
// the stream of events when it breaks, and falls back to periodic resyncs for
// runtimes without one.
func Follow(ctx context.Context, rt Runtime, watcher Watcher) {
	log := klog.FromContext(ctx)
	wait := 20 * time.Millisecond
	for ctx.Err() == nil {
		began := time.Now()
		err := rt.Events(ctx, watcher.Resync, func(e *runtimeapi.ContainerEventResponse) {
			watcher.Changed(changeOf(e))
		})
		if ctx.Err() != nil {
			return
		}
		if status.Code(err) == codes.Unimplemented {
			log.Info("The container runtime has no container events, asking it every second instead")
			relist(ctx, watcher)
			return
		}
		log.V(1).Info("The stream of container events ended, opening it again", "err", err)
		if time.Since(began) > 10*time.Second {
			wait = 20 * time.Millisecond
		}
		sleep(ctx, wait)
		if wait *= 2; wait > time.Second {
			wait = time.Second
		}
	}
}

func changeOf(e *runtimeapi.ContainerEventResponse) Change {
	sandbox := e.GetPodSandboxStatus()
	c := Change{
		ID:      e.GetContainerId(),
		Pod:     types.UID(sandbox.GetMetadata().GetUid()),
		Deleted: e.GetContainerEventType() == runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT,
	}
	c.Sandbox = sandbox != nil && sandbox.GetId() == c.ID
	if c.Pod == "" {
		for _, s := range e.GetContainersStatuses() {
			c.Pod = types.UID(s.GetLabels()[LabelPodUID])
		}
	}
	return c
}

func relist(ctx context.Context, watcher Watcher) {
	ticker := time.NewTicker(relistEvery)
	defer ticker.Stop()
	for {
		watcher.Resync()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
