package containerd

import (
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// A containerd that ended soon after its start is started again after a pause that doubles from the first to the last of
// these; one that ran for longer than steady starts again at once.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second
	steady     = 10 * time.Second
)

// supervise starts containerd again whenever it ends, until ctx does.
func (r *Runtime) supervise(ctx context.Context, running *process) {
	defer close(r.done)
	defer r.lock.Close()
	log := klog.FromContext(ctx).WithValues("node", r.config.NodeName)
	pause := firstPause
	since := time.Now()
	for {
		if running != nil {
			select {
			case <-ctx.Done():
				return
			case <-running.ended:
			}
			log.Info("containerd has ended; starting it again", "pid", running.PID)
		}
		if time.Since(since) < steady {
			if !sleep(ctx, pause) {
				return
			}
			pause = min(2*pause, lastPause)
		} else {
			pause = firstPause
		}
		since = time.Now()
		next, err := r.launch(ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			log.Error(err, "Starting containerd again failed")
		}
		r.mu.Lock()
		r.current = next
		r.mu.Unlock()
		running = next
	}
}

// sleep says if the time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// inNetNS calls f, which starts a process, in a network namespace; the process inherits it from the starting thread.
func inNetNS(path string, f func() error) error {
	if path == "" {
		return f()
	}
	target, err := os.Open(path)
	if err != nil {
		return err
	}
	defer target.Close()
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread, being in another namespace, must end with this goroutine.
		runtime.LockOSThread()
		if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- os.NewSyscallError("setns", err)
			return
		}
		result <- f()
	}()
	return <-result
}
