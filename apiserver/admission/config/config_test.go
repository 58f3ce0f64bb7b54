package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n"

func TestReadingConfigurations(t *testing.T) {
	t.Parallel()
	var into struct {
		A string `json:"a"`
	}
	c, err := Load(write(t, "c.yaml", head+"- name: X\n  configuration: {a: b}\n- name: Z\n  configuration: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if found, err := c.Read("X", &into, ""); err != nil || !found || into.A != "b" {
		t.Errorf("%v, %v, %+v", found, err, into)
	}
	if err := c.Unread(nil); err == nil || !strings.Contains(err.Error(), "[Z]") {
		t.Errorf("%v", err)
	}
	if err := c.Unread([]string{"Z"}); err != nil {
		t.Error(err)
	}
	if found, err := (*Config)(nil).Read("X", &into, ""); found || err != nil {
		t.Errorf("without a file: %v, %v", found, err)
	}
}

func TestConfigurationsThatAreWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"kind: Pod\napiVersion: v1\n":                      `it is a "Pod" of "v1"`,
		head + "- name: X\n- name: X\n":                    "plugins[1].name",
		head + "- name: X\n  path: nowhere.yaml\n":         "nowhere.yaml",
		head + "- name: X\n  nothing: 1\n":                 "nothing",
		head + "- name: X\n  configuration: {kind: Other}": "",
	} {
		c, err := Load(write(t, "c.yaml", text))
		if err == nil {
			var into struct {
				Kind string `json:"kind"`
			}
			_, err = c.Read("X", &into, "Wanted", "v1")
			want = `it is a "Other"`
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "c.yaml") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
