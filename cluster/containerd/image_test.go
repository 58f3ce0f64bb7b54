package containerd

import (
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/test/images"
)

// Images come from archives of either kind, compressed or not, and from registries, with and without credentials.
func TestImages(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	registries := filepath.Join(config.DataDir, "registries") // where users put mirrors, if not into the system's folder
	if err := os.MkdirAll(registries, 0o755); err != nil {
		t.Fatal(err)
	}
	r := start(t, config)
	client := dial(t, r)

	small := func(name string) string {
		file := filepath.Join(t.TempDir(), "image.tar")
		image := images.Image{Name: name, Files: map[string]images.File{"/" + filepath.Base(name): {Content: []byte(name)}}, Config: v1.ImageConfig{Cmd: []string{"/x"}}}
		if err := image.Write(file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, archive := range map[string]string{
		"example.org/plain:1":            small("example.org/plain:1"),
		"example.org/gzip:1":             compressed(t, small("example.org/gzip:1")),
		"docker.io/library/saved:latest": dockerArchive(t, "saved:latest"),
	} {
		names, err := Import(t.Context(), config, archive)
		if err != nil || !slices.Equal(names, []string{name}) {
			t.Errorf("importing %s: %q, %v", name, names, err)
		}
		expectImage(t, client, name, true)
	}
	expectImage(t, client, PauseImage, true)
	if _, err := r.ImportImage(t.Context(), os.DevNull); err == nil {
		t.Error("an empty file was imported")
	}

	registry := images.Serve(t, small("registry.example/team/app:2"))
	registry.User, registry.Password = "me", "secret"
	registry.Redirect(t, registries, "registry.example")
	pull := &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: "registry.example/team/app:2"}}
	if _, err := client.images.PullImage(t.Context(), pull); err == nil {
		t.Error("pulled without credentials")
	}
	pull.Auth = &runtimeapi.AuthConfig{Username: "me", Password: "secret"}
	if _, err := client.images.PullImage(t.Context(), pull); err != nil {
		t.Error(err)
	}
	expectImage(t, client, "registry.example/team/app:2", true)
	if _, err := client.images.RemoveImage(t.Context(), &runtimeapi.RemoveImageRequest{Image: pull.Image}); err != nil {
		t.Error(err)
	}
	expectImage(t, client, "registry.example/team/app:2", false)
}

func expectImage(t *testing.T, client cri, name string, want bool) {
	t.Helper()
	answer, err := client.images.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}})
	if err != nil || (answer.Image != nil) != want {
		t.Errorf("image %s: %v, %v; want there: %v", name, answer.GetImage(), err, want)
	}
	if name == PauseImage && !answer.GetImage().GetPinned() {
		t.Errorf("the pause image is not pinned: it could be collected as unused")
	}
}

func compressed(t *testing.T, file string) string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(file + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	w := gzip.NewWriter(out)
	if _, err := io.Copy(w, in); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

// dockerArchive is an image as `docker save` writes it.
func dockerArchive(t *testing.T, tag string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return strings.Fields(string(out) + " .")[0]
	}
	write("hello", "hello")
	run("tar", "-cf", "layer.tar", "hello")
	sum := run("sha256sum", "layer.tar")
	write("config.json", `{"architecture":"amd64","os":"linux","config":{"Cmd":["/hello"]},"rootfs":{"type":"layers","diff_ids":["sha256:`+sum+`"]}}`)
	write("manifest.json", `[{"Config":"config.json","RepoTags":["`+tag+`"],"Layers":["layer.tar"]}]`)
	run("tar", "-cf", "saved.tar", "manifest.json", "config.json", "layer.tar")
	return filepath.Join(dir, "saved.tar")
}
