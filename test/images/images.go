// Package images builds container images for tests from Go, without a registry, a daemon or a network: an OCI image
// layout in a tar file, as cluster/containerd imports it.
//
//	archive := images.Busybox(t)
//	names, err := runtime.ImportImage(ctx, archive)
package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"runtime"
	"sort"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is what an image holds. Equal Images make equal archives.
type Image struct {
	// Name is the full reference, such as docker.io/library/busybox:latest.
	Name string
	// Names are further references to the same image.
	Names []string
	// Files are the contents of the one layer, by absolute path. Folders on the way are made.
	Files map[string]File
	// Config is the image's configuration: Entrypoint, Cmd, Env, User, WorkingDir, Volumes, Labels ….
	Config v1.ImageConfig
}

// File is one file of an image.
type File struct {
	Content []byte
	Mode    int64  // permission bits; 0 is 0644, or 0755 for a folder
	Link    string // if not empty, the file is a symbolic link to this
	Folder  bool   // if true, the file is a folder
	UID     int
	GID     int
}

// Write writes the image as an OCI layout archive.
func (i Image) Write(file string) error {
	content, err := i.Archive()
	if err != nil {
		return fmt.Errorf("building the image %s: %w", i.Name, err)
	}
	return os.WriteFile(file, content, 0o644)
}

// Archive is the image as an OCI layout archive (OCI image specification 1.1, image-layout).
func (i Image) Archive() ([]byte, error) {
	layer, err := i.layer()
	if err != nil {
		return nil, err
	}
	platform := v1.Platform{Architecture: runtime.GOARCH, OS: "linux"}
	config, err := json.Marshal(v1.Image{
		Platform: platform, Config: i.Config,
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    describe(v1.MediaTypeImageConfig, config),
		Layers:    []v1.Descriptor{describe(v1.MediaTypeImageLayer, layer)},
	})
	if err != nil {
		return nil, err
	}
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}}
	for _, name := range append([]string{i.Name}, i.Names...) {
		entry := describe(v1.MediaTypeImageManifest, manifest)
		entry.Platform = &platform
		entry.Annotations = map[string]string{"io.containerd.image.name": name}
		index.Manifests = append(index.Manifests, entry)
	}
	list, err := json.Marshal(index)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add(w, tar.Header{Name: v1.ImageLayoutFile, Mode: 0o444}, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	add(w, tar.Header{Name: v1.ImageIndexFile, Mode: 0o444}, list)
	for _, blob := range [][]byte{layer, config, manifest} {
		add(w, tar.Header{Name: fmt.Sprintf("blobs/sha256/%x", sha256.Sum256(blob)), Mode: 0o444}, blob)
	}
	return out.Bytes(), w.Close() // a tar writer keeps its first error until Close
}

// layer is the file tree as a tar.
func (i Image) layer() ([]byte, error) {
	tree := map[string]File{}
	for name, file := range i.Files {
		name = path.Clean("/" + name)
		tree[name] = file
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			if _, given := i.Files[dir]; !given {
				tree[dir] = File{Folder: true}
			}
		}
	}
	names := make([]string, 0, len(tree))
	for name := range tree {
		names = append(names, name)
	}
	sort.Strings(names) // which puts folders before what is in them
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range names {
		file := tree[name]
		header := tar.Header{Name: name[1:], Mode: file.Mode, Uid: file.UID, Gid: file.GID}
		switch {
		case file.Link != "":
			header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, file.Link, 0o777
		case file.Folder:
			header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
			header.Mode = orDefault(file.Mode, 0o755)
		default:
			header.Mode = orDefault(file.Mode, 0o644)
		}
		add(w, header, file.Content)
	}
	return out.Bytes(), w.Close()
}

func orDefault(mode, otherwise int64) int64 {
	if mode == 0 {
		return otherwise
	}
	return mode
}

// add writes one entry; an error stays in the writer and comes out of its Close.
func add(w *tar.Writer, header tar.Header, content []byte) {
	header.Size = int64(len(content))
	header.Format = tar.FormatPAX
	if w.WriteHeader(&header) == nil {
		_, _ = w.Write(content)
	}
}

func describe(mediaType string, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}
