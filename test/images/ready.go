package images

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// BusyboxName is the reference of the image that Busybox builds.
const BusyboxName = "docker.io/library/busybox:latest"

// Busybox builds an image of this machine's busybox, with a link for every applet, and returns the archive's path. It
// answers to BusyboxName and to the further names. The test is skipped where there is no static busybox.
func Busybox(t testing.TB, names ...string) string {
	t.Helper()
	files, err := BusyboxFiles()
	if err != nil {
		t.Skipf("the package busybox-static is needed: %v", err)
	}
	return write(t, Image{
		Name: BusyboxName, Names: names, Files: files,
		Config: v1.ImageConfig{Cmd: []string{"sh"}, Env: []string{"PATH=/bin"}},
	})
}

// Static builds the Go program of a package (a path relative to the test's folder, or an import path) into an image of
// the given name that runs it, and returns the archive's path.
func Static(t testing.TB, name, pkg string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, Image{
		Name:   name,
		Files:  map[string]File{"/program": {Content: content, Mode: 0o755}, "/tmp": {Folder: true, Mode: 0o1777}},
		Config: v1.ImageConfig{Entrypoint: []string{"/program"}},
	})
}

func write(t testing.TB, image Image) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := image.Write(file); err != nil {
		t.Fatal(err)
	}
	return file
}
