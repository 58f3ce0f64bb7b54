package clients

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// TestKubectlCommands tells stories.txt twice: with the kubectl that is installed, which may be older than the server, and with the
// one that septet carries. A controller manager runs beside the server, so that Deployments roll out; nodes there are none.
func TestKubectlCommands(t *testing.T) {
	installed, err := exec.LookPath("kubectl")
	if err != nil {
		t.Log("no kubectl is installed; only the carried one is tested")
	}
	for _, k := range []struct{ name, binary string }{{"installed", installed}, {"carried", filepath.Join(assets, "kubectl")}} {
		if k.binary == "" {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			env, _ := start(t)
			s := newShell(t, env, k.binary)
			s.runControllers(t, env)
			for _, story := range stories(t) {
				t.Run(story.name, func(t *testing.T) {
					for _, step := range story.steps {
						s.tell(t, step)
					}
				})
			}
		})
	}
}

// shell runs commands in an environment of its own.
type shell struct {
	env []string
	dir string
}

func newShell(t *testing.T, env *envtest.Environment, kubectl string) *shell {
	t.Helper()
	home := t.TempDir()
	bin := filepath.Join(home, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(kubectl, filepath.Join(bin, "kubectl")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "config"), env.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "csr"), certificateRequest(t), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return &shell{dir: dir, env: append(os.Environ(), "KUBECONFIG="+filepath.Join(home, "config"), "HOME="+home, "TMP="+home,
		"PATH="+bin+":"+os.Getenv("PATH"), "KUBECTL_EXTERNAL_DIFF=diff -u -N")}
}

// certificateRequest is what openssl would make for eve, a developer.
func certificateRequest(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "eve", Organization: []string{"devs"}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})
}

// runControllers runs our controller manager until the test ends.
func (s *shell) runControllers(t *testing.T, env *envtest.Environment) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, env.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(assets, "kube-controller-manager"), "--kubeconfig="+file, "--secure-port=0", "--leader-elect=false")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // how it ends is another test's affair
	})
}

// tell runs one command, again and again if it waits for something, and looks at what it prints.
func (s *shell) tell(t *testing.T, step step) {
	t.Helper()
	var out []byte
	var err error
	matches := func() bool {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", "set -o pipefail; "+step.command)
		cmd.Env, cmd.Dir = s.env, s.dir
		out, err = cmd.CombinedOutput()
		return (err == nil) != step.fails && containsAll(string(out), step.want)
	}
	if step.waits {
		until(t, "$ "+step.command, matches)
		return
	}
	if !matches() {
		t.Errorf("$ %s\n%s(%v)\nwant %q", step.command, out, err, step.want)
	}
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

type story struct {
	name  string
	steps []step
}

// step is a command with what it must print.
type step struct {
	command      string
	fails, waits bool
	want         []string
}

// stories reads stories.txt: "# name" begins a story, "$ command" a step that works, "! command" one that must fail, "~ command" one that
// is tried until it prints what it should; the lines below are what must be in its output.
func stories(t *testing.T) []story {
	t.Helper()
	text, err := os.ReadFile("testdata/stories.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []story
	for _, line := range strings.Split(string(text), "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "":
		case mark == "#":
			all = append(all, story{name: rest})
		case mark == "$" || mark == "!" || mark == "~":
			last := &all[len(all)-1]
			last.steps = append(last.steps, step{command: rest, fails: mark == "!", waits: mark == "~"})
		default:
			last := &all[len(all)-1]
			steps := last.steps
			steps[len(steps)-1].want = append(steps[len(steps)-1].want, line)
		}
	}
	return all
}
