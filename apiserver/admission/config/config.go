// Package config reads the file of --admission-control-config-file: an AdmissionConfiguration, which has the configurations of plug-ins
// by their names. https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/#apiserver-config-k8s-io-v1-AdmissionConfiguration
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"

	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Config has what a file says. Nil: there is none, and nothing is configured.
type Config struct {
	path    string
	plugins map[string]part
	read    map[string]bool
}

// part is one plug-in's configuration, and where it stands.
type part struct {
	file string
	body []byte
}

type file struct {
	metav1.TypeMeta `json:",inline"`
	Plugins         []struct {
		Name          string          `json:"name"`
		Path          string          `json:"path"`
		Configuration json.RawMessage `json:"configuration"`
	} `json:"plugins"`
}

// kind and versions of the file.
const kind = "AdmissionConfiguration"

var versions = []string{"apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"}

// Load reads a file, and the files that it names, relative to its own folder. Errors name the file.
func Load(path string) (*Config, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f file
	if err := yaml.UnmarshalStrict(body, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if f.Kind != kind || !slices.Contains(versions, f.APIVersion) {
		return nil, fmt.Errorf("%s: it is a %q of %q, not an %s of %s", path, f.Kind, f.APIVersion, kind, versions[0])
	}
	c := &Config{path: path, plugins: map[string]part{}, read: map[string]bool{}}
	for i := range f.Plugins {
		p := &f.Plugins[i]
		if _, twice := c.plugins[p.Name]; twice || p.Name == "" {
			return nil, fmt.Errorf("%s: plugins[%d].name: %q must be given, and once only", path, i, p.Name)
		}
		if c.plugins[p.Name], err = c.part(p.Path, p.Configuration); err != nil {
			return nil, fmt.Errorf("%s: plugins[%d]: %w", path, i, err)
		}
	}
	return c, nil
}

// part is the embedded configuration or, without one, the content of a file.
func (c *Config) part(path string, embedded json.RawMessage) (part, error) {
	if len(embedded) > 0 && string(embedded) != "null" {
		return part{c.path, embedded}, nil
	}
	if path == "" {
		return part{file: c.path}, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(c.path), path)
	}
	body, err := os.ReadFile(path)
	return part{path, body}, err
}

// Read reads the configuration of a plug-in into a struct, which has all fields that it may have. It says whether there is one.
// Unknown fields, and another kind or version than these, where kind is given, are errors that name the file.
func (c *Config) Read(plugin string, into any, kind string, apiVersions ...string) (bool, error) {
	if c == nil {
		return false, nil
	}
	p, found := c.plugins[plugin]
	c.read[plugin] = true
	if !found || len(p.body) == 0 {
		return false, nil
	}
	if err := yaml.UnmarshalStrict(p.body, into); err != nil {
		return false, fmt.Errorf("%s: configuration of %s: %w", p.file, plugin, err)
	}
	if kind == "" {
		return true, nil
	}
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(p.body, &meta); err != nil {
		return false, fmt.Errorf("%s: configuration of %s: %w", p.file, plugin, err)
	}
	if meta.Kind != kind || !slices.Contains(apiVersions, meta.APIVersion) {
		return false, fmt.Errorf("%s: configuration of %s: it is a %q of %q, not a %s of %s", p.file, plugin, meta.Kind, meta.APIVersion, kind, apiVersions[0])
	}
	return true, nil
}

// Dir is the folder of the file in which a plug-in's configuration stands, to which paths in it are relative.
func (c *Config) Dir(plugin string) string { return filepath.Dir(c.plugins[plugin].file) }

// Unread is an error if the file configures plug-ins that did not ask for it: what is meant to make a cluster safer must not be dropped
// without a word. off are the names of plug-ins that do not run.
func (c *Config) Unread(off []string) error {
	if c == nil {
		return nil
	}
	var names []string
	for name, p := range c.plugins {
		if !c.read[name] && len(p.body) > 0 && !slices.Contains(off, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("%s: there is no plug-in that takes the configuration of %v", c.path, names)
}
