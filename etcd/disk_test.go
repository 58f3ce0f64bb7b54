package etcd

import (
	"context"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFullDisk: the member ends with one clear line, and what was acknowledged is there when there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("a small file system needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, err := Start(t.Context(), Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	failed := s.Failed()
	var failure error
	written := 0
	value := strings.Repeat("x", 1<<20)
	for failure == nil {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_, err := s.Client().Put(ctx, "a", value)
		cancel()
		if err == nil {
			written++
			continue
		}
		select {
		case failure = <-failed:
		case <-time.After(10 * time.Second):
			t.Fatalf("after %d writes: %v, and no failure", written, err)
		}
	}
	if text := failure.Error(); !strings.Contains(text, "the disk is full") || strings.Contains(text, "\n") {
		t.Fatalf("failure: %v", failure)
	}
	s.Stop()
	if err := unix.Mount("", dir, "tmpfs", unix.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	// The member that failed still holds its files, as it would not after the end of its process.
	if _, err := Start(t.Context(), Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("second start: %v", err)
	}
}
