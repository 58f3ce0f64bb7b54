// Package peer runs upstream's own programs, where somebody has built them, beside ours: each component of one must work with those of
// the other. Whoever uses it gives the programs' paths; nothing of them is part of this repository.
package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/septet-io/septet/pki"
)

// Process is a running program. Its output is in a file beside its other files.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// Start runs a program of upstream's until it is stopped; name is the component's, and its log's in dir.
func Start(dir, name, binary string, args ...string) (*Process, error) {
	p := &Process{log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	output, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	p.cmd = exec.Command(binary, args...)
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in its log
	}()
	return p, nil
}

// Stop ends the program and waits for that.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// Output is what the program has written so far.
func (p *Process) Output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// CPU is the time that the program has computed, user and system; 0 when it has ended.
func (p *Process) CPU() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	const tick = 10 * time.Millisecond // USER_HZ
	words := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, errUser := strconv.Atoi(words[11])
	system, errSystem := strconv.Atoi(words[12])
	if errUser != nil || errSystem != nil {
		return 0
	}
	return time.Duration(user+system) * tick
}

// Resident is the program's memory in bytes; 0 when it has ended.
func (p *Process) Resident() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// Scheduler runs a kube-scheduler with upstream's flags until it is stopped. extra are arguments before the flags, for programs that are
// many in one.
func Scheduler(dir, binary, kubeconfig string, extra ...string) (*Process, error) {
	config := filepath.Join(dir, "scheduler.yaml")
	// Upstream limits its clients to 50 requests a second unless told otherwise; its own benchmarks use 5000.
	text := fmt.Sprintf("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nclientConnection: {kubeconfig: %q, qps: 5000, burst: 5000}\n"+
		"leaderElection: {leaderElect: false}\n", kubeconfig)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return Start(dir, "kube-scheduler", binary, append(extra, "--config="+config, "--secure-port=0")...)
}

// Material is what a control plane's programs share besides kubeconfigs: files, as kubeadm lays them out.
type Material struct {
	CACert, CAKey string
	// AccountKey signs service account tokens.
	AccountKey string
}

// ControllerArgs are the flags that kubeadm gives to kube-controller-manager, without a port.
func ControllerArgs(m Material, kubeconfig string) []string {
	return []string{"--allocate-node-cidrs=true", "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig, "--bind-address=127.0.0.1",
		"--client-ca-file=" + m.CACert, "--cluster-cidr=10.244.0.0/16", "--cluster-name=kubernetes", "--cluster-signing-cert-file=" + m.CACert,
		"--cluster-signing-key-file=" + m.CAKey, "--controllers=*,bootstrapsigner,tokencleaner", "--kubeconfig=" + kubeconfig, "--leader-elect=true",
		"--root-ca-file=" + m.CACert, "--service-account-private-key-file=" + m.AccountKey, "--service-cluster-ip-range=10.96.0.0/16",
		"--use-service-account-credentials=true"}
}

// Controllers runs a kube-controller-manager with kubeadm's flags until it is stopped.
func Controllers(dir, binary string, m Material, kubeconfig string) (*Process, error) {
	return Start(dir, "kube-controller-manager", binary, append(ControllerArgs(m, kubeconfig), "--secure-port=0", "--flex-volume-plugin-dir="+filepath.Join(dir, "flex"))...)
}

// Proxy runs a kube-proxy with upstream's flags until it is stopped.
func Proxy(dir, binary, mode, node, kubeconfig string) (*Process, error) {
	return Start(dir, "kube-proxy", binary, ProxyArgs(mode, node, kubeconfig)...)
}

// ProxyArgs are the usual flags of kube-proxy. It is alone in its network.
func ProxyArgs(mode, node, kubeconfig string) []string {
	return []string{"--proxy-mode=" + mode, "--hostname-override=" + node, "--kubeconfig=" + kubeconfig, "--cluster-cidr=10.244.0.0/16",
		"--conntrack-max-per-core=0", "--metrics-bind-address=127.0.0.1:10249", "--healthz-bind-address=127.0.0.1:10256"}
}

// APIServer runs a kube-apiserver on the etcd at the given URL until it is stopped, and waits until it is ready. The authority signs its
// clients and its own certificate. It returns its URL.
func APIServer(ctx context.Context, dir, binary, etcd string, ca *pki.Authority) (*Process, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(pki.WriteFile(file("peer-ca.crt"), ca.PEM, 0o644), pki.EnsureSigningKey(file("peer-sa.key"), file("peer-sa.pub"))); err != nil {
		return nil, "", err
	}
	if _, err := ca.Ensure(file("peer.crt"), file("peer.key"), pki.Leaf{CommonName: "kube-apiserver", Server: true, Hosts: []string{"localhost", "127.0.0.1"}}); err != nil {
		return nil, "", err
	}
	host, port, _ := net.SplitHostPort(address)
	p, err := Start(dir, "kube-apiserver", binary, "--etcd-servers="+etcd, "--bind-address="+host, "--advertise-address="+host, "--secure-port="+port,
		"--tls-cert-file="+file("peer.crt"), "--tls-private-key-file="+file("peer.key"), "--client-ca-file="+file("peer-ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-signing-key-file="+file("peer-sa.key"), "--service-account-key-file="+file("peer-sa.pub"),
		"--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
		"--endpoint-reconciler-type=none", "--watch-cache=true")
	if err != nil {
		return nil, "", err
	}
	url := "https://" + address
	if err := p.ready(ctx, url); err != nil {
		p.Stop()
		return nil, "", fmt.Errorf("%w\n%s", err, p.Output())
	}
	return p, url, nil
}

// ready waits for the server's own word, or its end.
func (p *Process) ready(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // health is for everybody
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if response, err := client.Get(url + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return errors.New("kube-apiserver ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// freeAddress is a loopback address that was free a moment ago.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
