package daemon

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
	"k8s.io/klog/v2"
)

// WatchFile calls changed with a file's new content whenever that differs from what it was, beginning with last, until ctx ends: also
// when the file is replaced by a rename or behind a symbolic link, as ConfigMap volumes do it. A file that cannot be read is waited for.
func WatchFile(ctx context.Context, file string, last []byte, changed func(content []byte)) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", file, err)
	}
	defer watcher.Close()
	if err := watcher.Add(filepath.Dir(file)); err != nil {
		return fmt.Errorf("watch %s: %w", file, err)
	}
	for {
		if content, err := os.ReadFile(file); err == nil && !bytes.Equal(content, last) {
			last = content
			changed(content)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
		case err := <-watcher.Errors:
			klog.ErrorS(err, "Watching a file", "file", file)
		}
	}
}
