package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheLogIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other, err := os.Create(filepath.Join(dir, "stderr")) // stands for standard error
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	log := &boundedLog{name: filepath.Join(dir, "log"), limit: 100, stderr: int(other.Fd())}
	if err := log.open(); err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 39) + "\n"
	for range 5 {
		if _, err := log.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.WriteString("panic\n"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"log": line + "panic\n", "log.1": line + line, "stderr": ""} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}
