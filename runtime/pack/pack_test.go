package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestThePauseImageDependsOnItsProgramOnly(t *testing.T) {
	t.Parallel()
	pack := func(program string) []byte {
		image, err := pauseImage([]byte(program), "amd64")
		if err != nil {
			t.Fatal(err)
		}
		return image
	}
	if !bytes.Equal(pack("a"), pack("a")) {
		t.Error("twice the same program, and two images")
	}
	if bytes.Equal(pack("a"), pack("b")) {
		t.Error("two programs, and one image")
	}
}

func TestWhatIsUpToDateIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, out := filepath.Join(dir, "program"), filepath.Join(dir, "out")
	stored := func(content string) os.FileInfo {
		if err := os.WriteFile(program, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := store(program, out); err != nil {
			t.Fatal(err)
		}
		packed, err := os.ReadFile(out + ".zst")
		if err != nil {
			t.Fatal(err)
		}
		decoder, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer decoder.Close()
		if got, err := decoder.DecodeAll(packed, nil); err != nil || string(got) != content {
			t.Errorf("packed %q, %v; want %q", got, err, content)
		}
		info, err := os.Stat(out + ".zst")
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := stored("one")
	if !os.SameFile(first, stored("one")) {
		t.Error("the same program was packed again")
	}
	if os.SameFile(first, stored("two")) {
		t.Error("another program was not packed")
	}
}
