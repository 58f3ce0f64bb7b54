package logs

import (
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
	"k8s.io/klog/v2"
)

// hub shares one inotify instance among all readers: a user has few of them (128 by default).
type hub struct {
	mu      sync.Mutex
	notify  *fsnotify.Watcher // nil while nobody watches
	readers map[string]map[chan struct{}]bool
}

// watcher serves all readers of the process.
var watcher hub

// watch tells of changes in a directory; signals that come before one is taken are one. cancel ends it.
func (h *hub) watch(dir string) (news <-chan struct{}, cancel func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.notify == nil {
		notify, err := fsnotify.NewWatcher()
		if err != nil {
			return nil, nil, err
		}
		h.notify, h.readers = notify, map[string]map[chan struct{}]bool{}
		go h.run(notify)
	}
	if h.readers[dir] == nil {
		if err := h.notify.Add(dir); err != nil {
			h.closeIdle()
			return nil, nil, err
		}
		h.readers[dir] = map[chan struct{}]bool{}
	}
	signal := make(chan struct{}, 1)
	h.readers[dir][signal] = true
	return signal, func() { h.unwatch(dir, signal) }, nil
}

func (h *hub) unwatch(dir string, signal chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers[dir], signal)
	if len(h.readers[dir]) > 0 {
		return
	}
	delete(h.readers, dir)
	// The directory may be gone, and its watch with it.
	if err := h.notify.Remove(dir); err != nil {
		klog.V(4).InfoS("Watch of log directory was already gone", "dir", dir, "err", err)
	}
	h.closeIdle()
}

// closeIdle ends the instance when nobody needs it. h.mu is held.
func (h *hub) closeIdle() {
	if len(h.readers) > 0 {
		return
	}
	if err := h.notify.Close(); err != nil {
		klog.ErrorS(err, "Log watch could not be closed")
	}
	h.notify = nil
}

// run passes events on until the instance is closed. An error (events lost) wakes everybody.
func (h *hub) run(notify *fsnotify.Watcher) {
	for {
		select {
		case event, ok := <-notify.Events:
			if !ok {
				return
			}
			h.wake(notify, filepath.Dir(event.Name))
		case err, ok := <-notify.Errors:
			if !ok {
				return
			}
			klog.V(2).InfoS("Log watch lost events", "err", err)
			h.wake(notify, "")
		}
	}
}

// wake signals the readers of a directory, or all if it is empty.
func (h *hub) wake(notify *fsnotify.Watcher, dir string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.notify != notify {
		return
	}
	for at, readers := range h.readers {
		if dir != "" && at != dir {
			continue
		}
		for signal := range readers {
			select {
			case signal <- struct{}{}:
			default:
			}
		}
	}
}
