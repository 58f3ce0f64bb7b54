package kubelet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"
)

// reference returns a file of the reference data, or skips the test.
func reference(t *testing.T, name string) []byte {
	dir := os.Getenv("SEPTET_REFERENCE")
	if dir == "" {
		dir = "../../shared/reference"
	}
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if os.IsNotExist(err) {
		t.Skip("no reference data")
	}
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDefaultsAreUpstreams(t *testing.T) {
	t.Parallel()
	want := reference(t, "config/KubeletConfiguration.after.v1beta1.yaml")
	config := &kubeletconfig.KubeletConfiguration{}
	if err := yaml.UnmarshalStrict(reference(t, "config/KubeletConfiguration.before.v1beta1.yaml"), config); err != nil {
		t.Fatal(err)
	}
	Default(config)
	got, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	var wanted, have map[string]any
	if err := yaml.Unmarshal(want, &wanted); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(got, &have); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, have); diff != "" {
		t.Errorf("defaults differ from upstream's (-want +got):\n%s", diff)
	}
}

// TestFeatureGatesOfFlagsAndFilesAreChecked: those of flags are laid over the file's.
func TestFeatureGatesOfFlagsAndFilesAreChecked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	text := "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfeatureGates: {AllAlpha: true, AllBeta: true, %s: true}\n"
	for gate, good := range map[string]bool{"SidecarContainers": true, "NoSuchGate": false} {
		if err := os.WriteFile(path, fmt.Appendf(nil, text, gate), 0o600); err != nil {
			t.Fatal(err)
		}
		o, flags := &options{}, pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
		o.add(flags)
		rows := configFlags(flags)
		if err := flags.Parse([]string{"--config=" + path, "--feature-gates=AllAlpha=false"}); err != nil {
			t.Fatal(err)
		}
		config, err := o.configuration(flags, rows)
		if good != (err == nil) || err != nil && !strings.Contains(err.Error(), "featureGates: unrecognized feature gate: NoSuchGate") {
			t.Errorf("%s: %v", gate, err)
		}
		if good && (config.FeatureGates["AllAlpha"] || !config.FeatureGates["AllBeta"]) {
			t.Errorf("gates: %v", config.FeatureGates)
		}
	}
}

func TestAConfigurationIsReadStrictly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		bad  bool
	}{
		"good":          {text: "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 50\n"},
		"unknown field": {text: "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPod: 50\n", bad: true},
		"another kind":  {text: "apiVersion: v1\nkind: Pod\n", bad: true},
		"no YAML":       {text: "{", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadConfiguration(path)
			if (err != nil) != test.bad {
				t.Fatalf("error is %v, want one: %v", err, test.bad)
			}
		})
	}
}
