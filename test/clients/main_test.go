package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// septet is the binary under test, and assets the folder of links to it that KUBEBUILDER_ASSETS names.
var septet, assets string

// TestMain finds the binary (SEPTET names one; else it is built) and makes the links.
func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "septet-clients-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if septet, err = filepath.Abs(os.Getenv("SEPTET")); err != nil {
		return 1, err
	}
	if os.Getenv("SEPTET") == "" {
		septet = filepath.Join(dir, "septet")
		if out, err := exec.Command("go", "build", "-C", "../..", "-buildvcs=false", "-o", septet, "./cmd/septet").CombinedOutput(); err != nil {
			return 1, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	assets = filepath.Join(dir, "assets")
	if err := os.Mkdir(assets, 0o700); err != nil {
		return 1, err
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl", "kube-controller-manager"} {
		if err := os.Symlink(septet, filepath.Join(assets, name)); err != nil {
			return 1, err
		}
	}
	if err := os.Setenv("KUBEBUILDER_ASSETS", assets); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// start runs an API server and an etcd the way controller-runtime does, until the test ends.
func start(t *testing.T, change ...func(*envtest.Environment)) (*envtest.Environment, *rest.Config) {
	t.Helper()
	env := &envtest.Environment{}
	for _, f := range change {
		f(env)
	}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	config.QPS = -1
	return env, config
}
