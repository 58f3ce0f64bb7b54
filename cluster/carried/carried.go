// Package carried holds the programs that travel inside septet, compressed, and unpacks them where they can be run: the
// container runtime (septet-containerd, containerd-shim-runc-v2, runc, septet-cni), the pause image and kubectl.
//
// They are programs of their own, not packages, because each would cost every septet process tens of megabytes; and they
// are carried, not installed, because a cluster must start where nothing else is installed and no network is in reach.
// `make -C runtime` builds them into files/; a septet built without them works but for what needs them.
package carried

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"
)

// The programs and images that may be carried.
const (
	Containerd = "septet-containerd"
	Shim       = "containerd-shim-runc-v2"
	Runc       = "runc"
	CNI        = "septet-cni"
	Pause      = "pause.tar"
	Kubectl    = "kubectl"
)

//go:embed all:files
var files embed.FS

// ErrMissing is what Unpack and Digest fail with when septet was built without a program.
var ErrMissing = errors.New("not carried: this septet was built without it (build it with make -C runtime, then build septet again)")

// Names lists what this septet carries, sorted.
func Names() []string { return names(files) }

// Digest is the SHA-256 of a carried program, in hexadecimal, or an ErrMissing that names it.
func Digest(name string) (string, error) { return digest(files, name) }

func names(from fs.FS) []string {
	packed, err := fs.Glob(from, "files/*.zst")
	if err != nil {
		return nil // only a malformed pattern fails, and this one is not
	}
	found := make([]string, 0, len(packed))
	for _, file := range packed {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "files/"), ".zst")
		if _, err := digest(from, name); err == nil {
			found = append(found, name)
		}
	}
	sort.Strings(found)
	return found
}

func digest(from fs.FS, name string) (string, error) {
	sum, err := fs.ReadFile(from, "files/"+name+".sha256")
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is %w", name, ErrMissing)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(sum)), nil
}
