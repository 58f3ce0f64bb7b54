package payload

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// look lists what a reader sees: every file through its links, with mode and contents.
func look(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	var walk func(at, name string)
	walk = func(at, name string) {
		info, err := os.Stat(at)
		if err != nil {
			t.Fatal(err)
		}
		if !info.IsDir() {
			data, err := os.ReadFile(at)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%s %o %s", name, info.Mode().Perm(), data))
			return
		}
		entries, err := os.ReadDir(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), "..") {
				walk(filepath.Join(at, entry.Name()), filepath.Join(name, entry.Name()))
			}
		}
	}
	walk(dir, "")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func write(t *testing.T, dir string, files Payload) bool {
	t.Helper()
	changed, err := Write(dir, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := Payload{"a": {Data: []byte("1"), Mode: 0o644}, "sub/dir/b": {Data: []byte("2"), Mode: 0o400}}
	if !write(t, dir, first) {
		t.Error("the first writing changed nothing")
	}
	if got, want := look(t, dir), "a 644 1\nsub/dir/b 400 2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if write(t, dir, first) {
		t.Error("writing the same again changed something")
	}
	if !write(t, dir, Payload{"sub/c": {Data: []byte("3"), Mode: 0o777}}) {
		t.Error("other files changed nothing")
	}
	if got, want := look(t, dir), "sub/c 777 3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if write(t, dir, Payload{}); look(t, dir) != "" {
		t.Errorf("%q is left", look(t, dir))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("old versions are left: %v, %v", entries, err)
	}
}

// A writer that was killed half-way leaves rubbish; the next one clears it away.
func TestAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, Payload{"a": {Data: []byte("1"), Mode: 0o644}})
	if err := os.Mkdir(filepath.Join(dir, "..2026_half"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..2026_half", filepath.Join(dir, newDataLink)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	write(t, dir, Payload{"a": {Data: []byte("1"), Mode: 0o644}})
	if got := look(t, dir); got != "a 644 1" {
		t.Errorf("%q", got)
	}
	write(t, dir, Payload{"a": {Data: []byte("2"), Mode: 0o644}})
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

func TestBadPaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/etc/passwd", "..", "../x", "a/../../x", "..data", strings.Repeat("x", 300)} {
		if _, err := Write(t.TempDir(), Payload{path: {}}, nil); err == nil {
			t.Errorf("%q was written", path)
		}
	}
}

// A reader that opens two files one after the other through one look at ..data never sees two versions.
func TestReadersSeeOneVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(n int) Payload {
		text := []byte(fmt.Sprint(n))
		return Payload{"x": {Data: text, Mode: 0o644}, "y": {Data: text, Mode: 0o644}}
	}
	write(t, dir, version(0))
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() {
		for !stop.Load() {
			link, err := os.Readlink(filepath.Join(dir, dataLink))
			if err != nil {
				done <- err
				return
			}
			x, errX := os.ReadFile(filepath.Join(dir, link, "x"))
			y, errY := os.ReadFile(filepath.Join(dir, link, "y"))
			if errX != nil || errY != nil {
				continue // that version has been cleared away meanwhile
			}
			if string(x) != string(y) {
				done <- fmt.Errorf("saw %s and %s", x, y)
				return
			}
		}
		done <- nil
	}()
	for n := range 200 {
		write(t, dir, version(n))
	}
	stop.Store(true)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func BenchmarkUnchanged(b *testing.B) {
	dir := b.TempDir()
	files := Payload{"token": {Data: make([]byte, 1024), Mode: 0o644}, "ca.crt": {Data: make([]byte, 1100), Mode: 0o644}, "namespace": {Data: []byte("default"), Mode: 0o644}}
	for b.Loop() {
		if _, err := Write(dir, files, nil); err != nil {
			b.Fatal(err)
		}
	}
}
