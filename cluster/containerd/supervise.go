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
	var result error
	onOwnThread(func() {
		if result = os.NewSyscallError("setns", unix.Setns(int(target.Fd()), unix.CLONE_NEWNET)); result == nil {
			result = f()
		}
	})
	return result
}

// onOwnThread calls f on a thread that ends afterwards, so that f may change the thread's namespaces. The process's first
// thread, by which others see the process, cannot end; it waits if it is met.
func onOwnThread(f func()) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			onOwnThread(f)
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-finished
}
