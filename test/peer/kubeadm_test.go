package peer_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/controllers"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/pki"
	"github.com/septet-io/septet/scheduler"
	"github.com/septet-io/septet/test/peer"
)

// Our control plane starts by the command lines that kubeadm v1.36 writes into its static Pods: etcd, API server, controllers and scheduler
// find each other by its certificates and kubeconfigs, and its probes are answered. Only addresses, ports and folders are other ones.
func TestKubeadmsCommandLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ports := map[string]string{"{dir}": dir}
	for _, name := range []string{"{api}", "{etcd}", "{peer}", "{metrics}", "{controllers}", "{scheduler}"} {
		ports[name] = port(t)
	}
	ca := certificates(t, dir, "https://127.0.0.1:"+ports["{api}"])
	lines := commandLines(t, ports)
	for _, command := range []*cobra.Command{etcd.Command(), apiserver.Command(), controllers.Command(), scheduler.Command()} {
		run(t, command, lines[command.Name()]...)
	}
	for _, probe := range []string{"http://127.0.0.1:{metrics}/readyz", "http://127.0.0.1:{metrics}/livez", "https://127.0.0.1:{api}/livez", "https://127.0.0.1:{api}/readyz",
		"https://127.0.0.1:{controllers}/healthz", "https://127.0.0.1:{scheduler}/livez", "https://127.0.0.1:{scheduler}/readyz"} {
		answers(t, fill(probe, ports))
	}
	admin := peer.Client(t, peer.Kubeconfig(t, ca, "https://127.0.0.1:"+ports["{api}"], "kubernetes-super-admin", "system:masters"), "admin")
	w := &world{Set: admin, t: t, ctx: t.Context()}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		w.eventually("leader of "+name, func() string {
			lease, err := admin.CoordinationV1().Leases("kube-system").Get(t.Context(), name, metav1.GetOptions{})
			if err != nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
				return fmt.Sprint(lease, err)
			}
			return ""
		})
	}
	w.eventually("account of the namespace default", func() string {
		_, err := admin.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
		return text(err)
	})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "app:1"}}}}
	if _, err := admin.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("word of the scheduler", func() string {
		pod, err := admin.CoreV1().Pods("default").Get(t.Context(), "p", metav1.GetOptions{})
		if err != nil || len(pod.Status.Conditions) == 0 {
			return fmt.Sprint(pod.Status, err)
		}
		return ""
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// port is a TCP port that was free a moment ago.
func port(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, number, _ := net.SplitHostPort(listener.Addr().String())
	return number
}

func fill(line string, values map[string]string) string {
	for name, value := range values {
		line = strings.ReplaceAll(line, name, value)
	}
	return line
}

// commandLines are those of testdata, with names filled in: the arguments by program.
func commandLines(t *testing.T, values map[string]string) map[string][]string {
	t.Helper()
	file, err := os.Open("testdata/kubeadm.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, program := map[string][]string{}, ""
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		switch line := strings.TrimSpace(scanner.Text()); {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "--"):
			lines[program] = append(lines[program], fill(line, values))
		default:
			program = line
		}
	}
	return lines
}

// certificates makes what `kubeadm init phase certs` and `kubeconfig` make.
func certificates(t *testing.T, dir, server string) *pki.Authority {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, "pki", name) }
	must(os.MkdirAll(in("etcd"), 0o700))
	authorities := map[string]*pki.Authority{}
	for _, name := range []string{"ca", "front-proxy-ca", "etcd/ca"} {
		ca, err := pki.LoadOrCreateAuthority(in(name+".crt"), in(name+".key"), name)
		must(err)
		authorities[name] = ca
	}
	hosts := []string{"localhost", "127.0.0.1", "kubernetes.default.svc", "10.96.0.1"}
	for name, leaf := range map[string]struct {
		by string
		pki.Leaf
	}{
		"apiserver":                {"ca", pki.Leaf{CommonName: "kube-apiserver", Server: true, Hosts: hosts}},
		"apiserver-kubelet-client": {"ca", pki.Leaf{CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"kubeadm:cluster-admins"}, Client: true}},
		"front-proxy-client":       {"front-proxy-ca", pki.Leaf{CommonName: "front-proxy-client", Client: true}},
		"apiserver-etcd-client":    {"etcd/ca", pki.Leaf{CommonName: "kube-apiserver-etcd-client", Client: true}},
		"etcd/server":              {"etcd/ca", pki.Leaf{CommonName: "cp", Server: true, Client: true, Hosts: hosts}},
		"etcd/peer":                {"etcd/ca", pki.Leaf{CommonName: "cp", Server: true, Client: true, Hosts: hosts}},
	} {
		_, err := authorities[leaf.by].Ensure(in(name+".crt"), in(name+".key"), leaf.Leaf)
		must(err)
	}
	must(pki.EnsureSigningKey(in("sa.key"), in("sa.pub")))
	for _, name := range []string{"controller-manager", "scheduler"} {
		_, err := authorities["ca"].EnsureKubeconfig(filepath.Join(dir, name+".conf"), server, "kubernetes", pki.Leaf{CommonName: "system:kube-" + name})
		must(err)
	}
	return authorities["ca"]
}

// answers waits until a probe succeeds, as a kubelet does: whoever serves, it does not look at the certificate.
func answers(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	w := &world{t: t, ctx: t.Context()}
	w.eventually(url, func() string {
		response, err := client.Get(url)
		if err != nil {
			return err.Error()
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return response.Status
		}
		return ""
	})
}
