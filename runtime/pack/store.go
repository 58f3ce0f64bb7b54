package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// store compresses a file into out.zst and notes its digest in out.sha256, unless both are there and are its own.
func store(file, out string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	sum := fmt.Appendf(nil, "%x\n", sha256.Sum256(content))
	old, err := os.ReadFile(out + ".sha256")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info, err := os.Stat(out + ".zst"); err == nil && bytes.Equal(old, sum) {
		report(out, len(content), info.Size(), "up to date")
		return nil
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		return err
	}
	packed := encoder.EncodeAll(content, nil)
	// The digest goes last: without it, or with an old one, the next run starts again.
	if err := replace(out+".zst", packed); err != nil {
		return err
	}
	if err := replace(out+".sha256", sum); err != nil {
		return err
	}
	report(out, len(content), int64(len(packed)), "packed")
	return nil
}

// replace writes a file so that nobody ever sees half of it.
func replace(file string, content []byte) error {
	temporary := file + ".new"
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}

func report(out string, size int, packed int64, what string) {
	fmt.Printf("%-26s %6.1f MB  %5.1f MB packed  %s\n", filepath.Base(out), float64(size)/1e6, float64(packed)/1e6, what)
}
