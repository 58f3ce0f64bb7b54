package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// settle is how long a folder is left alone after a change: a manifest that is
// being written is several changes.
const settle = 50 * time.Millisecond

// WatchFolder tells sink of the pods whose manifests lie in a folder (or are the
// file path) until ctx ends. It reads when something changes, and every so often
// in case the file system does not tell. A file that is no pod is told of once
// each time that it changes; the others are not affected.
func WatchFolder(ctx context.Context, path, node string, every time.Duration, prepare Prepare, sink Sink) {
	f := &folder{path: path, node: node, prepare: prepare, set: set{source: File, sink: sink}, told: map[string]string{}}
	events, stop := f.watch(ctx)
	defer stop()
	f.follow(ctx)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		f.read(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-events:
			drain(ctx, events)
		}
		f.follow(ctx)
	}
}

// drain waits until nothing has changed for a moment.
func drain(ctx context.Context, events <-chan fsnotify.Event) {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	for {
		select {
		case <-events:
			timer.Reset(settle)
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

type folder struct {
	path, node string
	prepare    Prepare
	set        set
	watcher    *fsnotify.Watcher
	// told is what was wrong with each file when it was last told.
	told map[string]string
}

// watch prepares to watch. Without it, what changes is found by looking now and
// then.
func (f *folder) watch(ctx context.Context) (<-chan fsnotify.Event, func()) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		klog.FromContext(ctx).Error(err, "Cannot watch the folder of static pods, looking into it now and then", "path", f.path)
		return nil, func() {}
	}
	f.watcher = watcher
	return watcher.Events, func() { watcher.Close() }
}

// follow watches the folder itself, that of a single file, or while neither is
// there the next one above, in which it will appear.
func (f *folder) follow(ctx context.Context) {
	if f.watcher == nil {
		return
	}
	target := f.path
	for {
		info, err := os.Stat(target)
		if err == nil && info.IsDir() {
			break
		}
		target = filepath.Dir(target)
	}
	if err := f.watcher.Add(target); err != nil {
		klog.FromContext(ctx).V(1).Info("Cannot watch the folder of static pods, looking into it now and then", "path", target, "err", err)
	}
}

func (f *folder) read(ctx context.Context) {
	files, err := f.files()
	if os.IsNotExist(err) {
		f.set.replace(nil)
		return
	}
	if err != nil {
		// Not knowing is not the same as there being none.
		klog.FromContext(ctx).Error(err, "Cannot read the folder of static pods", "path", f.path)
		return
	}
	var pods []*v1.Pod
	wrong := map[string]string{}
	for _, file := range files {
		pod, err := f.manifest(file)
		if err != nil {
			wrong[file] = err.Error()
			if f.told[file] != err.Error() {
				f.set.sink.Bad(File, file, err)
			}
			continue
		}
		pods = append(pods, pod)
	}
	f.told = wrong
	f.set.replace(pods)
}

func (f *folder) files() ([]string, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{f.path}, nil
	}
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		files = append(files, filepath.Join(f.path, e.Name()))
	}
	sort.Strings(files)
	return files, nil
}

// maxManifest bounds what is read: nothing of that size is a pod.
const maxManifest = 10 << 20

func (f *folder) manifest(file string) (*v1.Pod, error) {
	if info, err := os.Stat(file); err != nil {
		return nil, err
	} else if info.Size() > maxManifest {
		return nil, fmt.Errorf("it is larger than %d bytes", maxManifest)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pods, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if len(pods) != 1 {
		return nil, fmt.Errorf("a manifest file must hold one pod, not %d", len(pods))
	}
	return pods[0], static(pods[0], File, file, f.node, f.prepare)
}
