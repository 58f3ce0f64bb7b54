package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// PauseName is the name under which the pause image is carried; cluster/containerd names it in its configuration.
const PauseName = "septet.io/pause:1"

const (
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    map[string]string `json:"platform,omitempty"`
}

// pauseImage is an OCI image layout, as a tar, of one layer with /pause in it (OCI image specification 1.1). Nothing in
// it depends on the time or the machine.
func pauseImage(program []byte, arch string) ([]byte, error) {
	layer, err := archive([]entry{{"pause", program, 0o555}})
	if err != nil {
		return nil, err
	}
	platform := map[string]string{"architecture": arch, "os": "linux"}
	config, err := json.Marshal(map[string]any{
		"architecture": arch, "os": "linux",
		"config":  map[string]any{"Entrypoint": []string{"/pause"}, "User": "65535:65535", "WorkingDir": "/"},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
		"history": []any{},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": mediaManifest,
		"config": descriptor{MediaType: mediaConfig, Digest: digest(config), Size: len(config)},
		"layers": []descriptor{{MediaType: mediaLayer, Digest: digest(layer), Size: len(layer)}},
	})
	if err != nil {
		return nil, err
	}
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"manifests": []descriptor{{
			MediaType: mediaManifest, Digest: digest(manifest), Size: len(manifest), Platform: platform,
			Annotations: map[string]string{"io.containerd.image.name": PauseName},
		}},
	})
	if err != nil {
		return nil, err
	}
	return archive([]entry{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o444},
		{"index.json", index, 0o444},
		{blob(layer), layer, 0o444},
		{blob(config), config, 0o444},
		{blob(manifest), manifest, 0o444},
	})
}

type entry struct {
	name    string
	content []byte
	mode    int64
}

func archive(entries []entry) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content)), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

func blob(content []byte) string { return fmt.Sprintf("blobs/sha256/%x", sha256.Sum256(content)) }
