package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// strip leaves out symbol tables and debugging data: nobody debugs these on a node, and they are half of the size.
const strip = "-s -w -buildid="

// buildPlain builds the programs that need no C.
func buildPlain(work string, names []string) error {
	for _, name := range names {
		version, err := moduleVersion("github.com/containerd/containerd/v2")
		if err != nil {
			return err
		}
		ldflags := strip + " -X github.com/containerd/containerd/v2/version.Version=" + strings.TrimPrefix(version, "v")
		err = command(".", []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-tags", "no_btrfs no_zfs no_devmapper",
			"-ldflags", ldflags, "-o", filepath.Join(work, name), packages[name])
		if err != nil {
			return err
		}
	}
	return nil
}

// buildRunc builds runc from its pinned module, static, so that it runs on every distribution. It needs gcc, pkg-config
// and the headers and static library of libseccomp.
func buildRunc(work string, names []string) error {
	return command(".", []string{"CGO_ENABLED=1"}, "go", "build", "-trimpath", "-tags", "seccomp netgo osusergo",
		"-ldflags", strip+" -linkmode external -extldflags -static",
		"-o", filepath.Join(work, names[0]), "github.com/opencontainers/runc")
}

// buildKubectl builds kubectl from the main module, with the version of its library turned into the version of
// Kubernetes (v0.36.6 is v1.36.6).
func buildKubectl(work string, names []string) error {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubectl")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("finding the version of kubectl: %w", err)
	}
	library := strings.TrimSpace(string(out))
	minor := strings.Split(library, ".")[1]
	pkg := "k8s.io/component-base/version"
	ldflags := strip +
		" -X " + pkg + ".gitVersion=v1." + strings.TrimPrefix(library, "v0.") +
		" -X " + pkg + ".gitMajor=1 -X " + pkg + ".gitMinor=" + minor +
		" -X " + pkg + ".gitTreeState=clean"
	return command("..", []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-ldflags", ldflags,
		"-o", filepath.Join(work, names[0]), "./cmd/kubectl")
}

// moduleVersion is the version at which this module requires another.
func moduleVersion(path string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", path).Output()
	if err != nil {
		return "", fmt.Errorf("finding the version of %s: %w", path, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// buildPause compiles the pause program and packs it as an image.
func buildPause(work string, names []string) error {
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "gcc"
	}
	program := filepath.Join(work, "pause")
	err := command(".", nil, cc, "-Os", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector",
		"-fno-asynchronous-unwind-tables", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none", "-Wl,-z,noseparate-code", "-s",
		"-o", program, "pause/pause.c")
	if err != nil {
		return err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	image, err := pauseImage(content, target())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(work, names[0]), image, 0o644)
}
