package main

import (
	"bytes"
	"embed"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

//go:embed corpus/*.yaml
var corpusFiles embed.FS

// corpus reads the manifests of the kinds, of all if none are named, in the order of files and within them. A file or its
// name without ending may be named in place of a kind.
func corpus(kinds []string) ([]*unstructured.Unstructured, error) {
	files, err := fs.Glob(corpusFiles, "corpus/*.yaml")
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for _, name := range files {
		data, err := corpusFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		stem := path.Base(name[:len(name)-len(".yaml")])
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		for {
			object := map[string]any{}
			if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			m := &unstructured.Unstructured{Object: object}
			if len(object) > 0 && (len(kinds) == 0 || slices.Contains(kinds, m.GetKind()) || slices.Contains(kinds, stem)) {
				out = append(out, m)
			}
		}
	}
	return out, nil
}
