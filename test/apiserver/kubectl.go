package apiserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubectl runs the kubectl that is installed against a server.
type Kubectl struct {
	t          testing.TB
	kubeconfig string
	home       string
}

// Kubectl returns a kubectl for a configuration; the test is skipped where none is installed.
func (s *Server) Kubectl(config *rest.Config) *Kubectl {
	s.t.Helper()
	if _, err := exec.LookPath("kubectl"); err != nil {
		s.t.Skip("kubectl is not installed")
	}
	home := s.t.TempDir()
	k := &Kubectl{t: s.t, kubeconfig: filepath.Join(home, "kubeconfig"), home: home}
	if err := clientcmd.WriteToFile(Kubeconfig(config), k.kubeconfig); err != nil {
		s.t.Fatal(err)
	}
	return k
}

// Kubeconfig is a configuration as a file would have it.
func Kubeconfig(config *rest.Config) clientcmdapi.Config {
	return clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"test": {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test", Namespace: "default"}},
		CurrentContext: "test",
	}
}

// Run returns what a command prints, both streams; the test fails if the command does.
func (k *Kubectl) Run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := k.Try("", args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Feed is Run with a standard input.
func (k *Kubectl) Feed(t testing.TB, input string, args ...string) string {
	t.Helper()
	out, err := k.Try(input, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Try returns what a command prints, both streams, and its error.
func (k *Kubectl) Try(input string, args ...string) (string, error) {
	cmd := exec.Command("kubectl", args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+k.kubeconfig, "HOME="+k.home)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
