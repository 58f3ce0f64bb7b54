// Command pack builds every program that septet carries and stores each, compressed, where the main module embeds it.
//
//	go run ./pack -out ../cluster/carried/files
//
// Of each program it writes NAME.zst and NAME.sha256 (the digest of the program itself, by which it is unpacked). The
// results depend on sources and toolchain only; what is up to date is not written again.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	out := flag.String("out", "../cluster/carried/files", "the folder to fill")
	work := flag.String("work", ".build", "the folder for uncompressed results")
	only := flag.String("only", "", "build these programs only (comma-separated)")
	flag.Parse()
	if err := run(*out, *work, *only); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// run builds group by group, and compresses one group while the next is compiled.
func run(out, work, only string) error {
	work, err := filepath.Abs(work)
	if err != nil {
		return err
	}
	for _, dir := range []string{work, out} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	stored := make(chan error, 16)
	pending := 0
	for _, group := range groups {
		names := group.wanted(only)
		if len(names) == 0 {
			continue
		}
		if err := group.build(work, names); err != nil {
			return err
		}
		for _, name := range names {
			pending++
			go func() { stored <- store(filepath.Join(work, name), filepath.Join(out, name)) }()
		}
	}
	for ; pending > 0; pending-- {
		if e := <-stored; e != nil && err == nil {
			err = e
		}
	}
	return err
}

// A group is built by one command, so that the compiler runs once over what its programs share.
type group struct {
	names []string
	build func(work string, names []string) error
}

func (g group) wanted(only string) (names []string) {
	for _, name := range g.names {
		if only == "" || strings.Contains(","+only+",", ","+name+",") {
			names = append(names, name)
		}
	}
	return names
}

// groups is what is built, and in which order: the largest first, since it takes longest to compress.
var groups = []group{
	{[]string{"septet-containerd", "containerd-shim-runc-v2", "septet-cni"}, buildPlain},
	{[]string{"runc"}, buildRunc},
	{[]string{"pause.tar"}, buildPause},
	{[]string{"kubectl"}, buildKubectl},
}

// packages says where the source of a program is, when it is not the folder of its name.
var packages = map[string]string{
	"septet-containerd":       "./containerd",
	"containerd-shim-runc-v2": "./shim",
	"septet-cni":              "./cni",
}

// command runs a program that builds something; its output is shown only to explain a failure.
func command(dir string, env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// target is the architecture that is built for: GOARCH, or this machine's.
func target() string {
	if arch := os.Getenv("GOARCH"); arch != "" {
		return arch
	}
	return runtime.GOARCH
}
