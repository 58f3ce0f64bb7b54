package images

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Registry serves images for pulling over plain HTTP on the loopback device (OCI distribution specification, pull).
type Registry struct {
	// Host is where it listens: 127.0.0.1:port.
	Host string
	// User and Password, if User is not empty, are asked of everybody.
	User, Password string
	// Requests counts what was asked for.
	Requests atomic.Int64

	blobs map[digest.Digest]blob
	names map[string]v1.Descriptor // by name:tag, without a host
}

// blob is where the bytes of one lie: in an archive.
type blob struct {
	file         string
	offset, size int64
}

// NewRegistry is a registry of the images of some OCI layout archives, under their names without the host. The archives
// are read when somebody pulls, and must stay.
func NewRegistry(archives ...string) (*Registry, error) {
	r := &Registry{blobs: map[digest.Digest]blob{}, names: map[string]v1.Descriptor{}}
	for _, file := range archives {
		if err := r.add(file); err != nil {
			return nil, fmt.Errorf("the archive %s: %w", file, err)
		}
	}
	return r, nil
}

// Serve starts a registry of the images of some archives, under their names without the host, until the test ends.
func Serve(t testing.TB, archives ...string) *Registry {
	t.Helper()
	r, err := NewRegistry(archives...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.Host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// Redirect writes the hosts.toml by which containerd looks for the images of another host in this registry. The folder is
// the runtime's RegistryDir; _default stands for every host.
func (r *Registry) Redirect(t testing.TB, registryDir, host string) {
	t.Helper()
	dir := filepath.Join(registryDir, host)
	text := fmt.Sprintf("server = 'http://%[1]s'\n[host.'http://%[1]s']\n  capabilities = ['pull', 'resolve']\n", r.Host)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// add notes where the blobs of an OCI layout archive lie, and which names it has.
func (r *Registry) add(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	var index v1.Index
	for in := tar.NewReader(file); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		offset, err := file.Seek(0, io.SeekCurrent) // a tar.Reader reads headers alone until it is asked for content
		if err != nil {
			return err
		}
		if header.Name == v1.ImageIndexFile {
			if err := json.NewDecoder(in).Decode(&index); err != nil {
				return err
			}
		} else if algorithm, sum, isBlob := strings.Cut(strings.TrimPrefix(header.Name, v1.ImageBlobsDir+"/"), "/"); isBlob {
			r.blobs[digest.NewDigestFromEncoded(digest.Algorithm(algorithm), sum)] = blob{name, offset, header.Size}
		}
	}
	for _, manifest := range index.Manifests {
		_, name, _ := strings.Cut(manifest.Annotations["io.containerd.image.name"], "/")
		r.names[name] = manifest
	}
	return nil
}

// ServeHTTP answers /v2/, /v2/NAME/manifests/TAG-OR-DIGEST and /v2/NAME/blobs/DIGEST.
func (r *Registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.Requests.Add(1)
	if user, password, _ := request.BasicAuth(); r.User != "" && (user != r.User || password != r.Password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}
	path := strings.TrimPrefix(request.URL.Path, "/v2/")
	mediaType, wanted := "application/octet-stream", digest.Digest("")
	if name, reference, ok := strings.Cut(path, "/manifests/"); ok {
		mediaType, wanted = v1.MediaTypeImageManifest, digest.Digest(reference)
		if found, tagged := r.names[name+":"+reference]; tagged {
			wanted = found.Digest
		}
	} else if _, reference, ok := strings.Cut(path, "/blobs/"); ok {
		wanted = digest.Digest(reference)
	} else if path == "" {
		return
	}
	blob, found := r.blobs[wanted]
	if !found {
		http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", wanted.String())
	file, err := os.Open(blob.file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer file.Close()
	http.ServeContent(w, request, "", time.Time{}, io.NewSectionReader(file, blob.offset, blob.size))
}
