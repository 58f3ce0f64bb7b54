package carried

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
)

// pack makes what runtime/pack makes: a compressed program and its digest.
func pack(t *testing.T, programs map[string]string) fstest.MapFS {
	t.Helper()
	encoder, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true)) // which notes the size of small files too
	if err != nil {
		t.Fatal(err)
	}
	from := fstest.MapFS{"files/README.md": {Data: []byte("kept")}}
	for name, content := range programs {
		from["files/"+name+".zst"] = &fstest.MapFile{Data: encoder.EncodeAll([]byte(content), nil)}
		from["files/"+name+".sha256"] = &fstest.MapFile{Data: fmt.Appendf(nil, "%x\n", sha256.Sum256([]byte(content)))}
	}
	return from
}

func TestUnpackedProgramsRun(t *testing.T) {
	t.Parallel()
	from := pack(t, map[string]string{"hello": "#!/bin/sh\necho hello\n", "other": "other"})
	data := t.TempDir()
	dir, err := unpack(from, data, []string{"hello", "other"})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(dir, "hello")).CombinedOutput(); err != nil || string(out) != "hello\n" {
		t.Fatalf("running the unpacked program: %q, %v", out, err)
	}
	before, err := os.Stat(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := unpack(from, data, []string{"hello", "other"})
	if err != nil || again != dir {
		t.Fatalf("the second time: %q, %v; want %q", again, err, dir)
	}
	if after, err := os.Stat(filepath.Join(dir, "other")); err != nil || !os.SameFile(before, after) {
		t.Fatalf("what was there has been written again (%v)", err)
	}
}

func TestAProgramThatIsNotCarriedIsNamed(t *testing.T) {
	t.Parallel()
	_, err := unpack(pack(t, nil), t.TempDir(), []string{"runc"})
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "runc") {
		t.Fatalf("got %v", err)
	}
}

func TestAFileCutShortIsWrittenAgain(t *testing.T) {
	t.Parallel()
	from := pack(t, map[string]string{"tool": "whole content"})
	data := t.TempDir()
	dir, err := unpack(from, data, []string{"tool"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "tool"), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(from, data, []string{"tool"}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "tool")); err != nil || string(got) != "whole content" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestManyMayUnpackAtOnce(t *testing.T) {
	t.Parallel()
	content := string(bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
	from := pack(t, map[string]string{"tool": content})
	data := t.TempDir()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			dir, err := unpack(from, data, []string{"tool"})
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := os.ReadFile(filepath.Join(dir, "tool")); err != nil || string(got) != content {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wait.Wait()
	if left, _ := filepath.Glob(filepath.Join(data, folder, "*", ".*")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestOlderVersionsGoWhenNothingRunsFromThem(t *testing.T) {
	t.Parallel()
	sleep, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Skip(err)
	}
	data := t.TempDir()
	version := func(n string) string {
		dir, err := unpack(pack(t, map[string]string{"sleep": string(sleep) + n}), data, []string{"sleep"})
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	other, err := unpack(pack(t, map[string]string{"kubectl": "k"}), data, []string{"kubectl"})
	if err != nil {
		t.Fatal(err)
	}
	first := version("1")
	running := exec.Command(filepath.Join(first, "sleep"), "1000")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer running.Process.Kill()
	second := version("2")
	if _, err := os.Stat(first); err != nil {
		t.Errorf("a version that runs was removed: %v", err)
	}
	running.Process.Kill()
	running.Wait()
	version("3")
	for _, gone := range []string{first, second} {
		if _, err := os.Stat(gone); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("another set was removed: %v", err)
	}
}

func TestWhatIsCarriedUnpacks(t *testing.T) {
	t.Parallel()
	carried := Names()
	if len(carried) == 0 {
		t.Skip("built without programs")
	}
	data := t.TempDir()
	for _, name := range carried {
		dir, err := Unpack(data, name)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := Digest(name); err != nil || fmt.Sprintf("%x", sha256.Sum256(content)) != want {
			t.Errorf("%s: the content is not what the digest says (%v)", name, err)
		}
	}
}
