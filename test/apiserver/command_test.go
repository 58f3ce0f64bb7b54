package apiserver

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/etcd"
)

// TestTheCommandServesOnAnyEtcd starts the component as its command does, on an etcd behind a socket.
func TestTheCommandServesOnAnyEtcd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	etcdURL, port := url.URL{Scheme: "http", Host: freePort(t)}, freePort(t)
	member, err := etcd.Start(t.Context(), etcd.Config{DataDir: filepath.Join(dir, "etcd"), UnsafeNoFsync: true, ListenClient: []url.URL{etcdURL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Stop)
	cmd := apiserver.Command()
	_, number, _ := net.SplitHostPort(port)
	cmd.SetArgs([]string{
		"--etcd-servers=" + etcdURL.String(), "--authorization-mode=RBAC", "--bind-address=127.0.0.1", "--secure-port=" + number, "--cert-dir=" + filepath.Join(dir, "certs"),
		"--feature-gates=AllAlpha=false", "--disable-admission-plugins=ServiceAccount,PodSecurity", "--service_cluster_ip_range=10.0.0.0/24", "--watch-cache",
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	for {
		answer, err := client.Get("https://" + port + "/readyz")
		if err == nil {
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if string(body) == "ok" {
				break
			}
		}
		select {
		case err := <-ended:
			t.Fatalf("the command ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("end: %v", err)
	}
}

// freePort returns a loopback address that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestTheCommandRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"unknown flag: --no-such":                                             {"--no-such"},
		"--etcd-servers must be specified":                                    {},
		"--egress-selector-config-file is not supported":                      {"--etcd-servers=http://127.0.0.1:1", "--egress-selector-config-file=x"},
		"--audit-policy-file: open x":                                         {"--etcd-servers=http://127.0.0.1:1", "--audit-policy-file=x"},
		"--authentication-token-webhook-version":                              {"--etcd-servers=http://127.0.0.1:1", "--authentication-token-webhook-config-file=x", "--authentication-token-webhook-version=v2"},
		"--authorization-config excludes --authorization-mode":                {"--etcd-servers=http://127.0.0.1:1", "--authorization-config=x", "--authorization-mode=RBAC"},
		"--tls-sni-cert-key":                                                  {"--etcd-servers=http://127.0.0.1:1", "--tls-sni-cert-key=x"},
		"--encryption-provider-config: encryption configuration":              {"--etcd-servers=http://127.0.0.1:1", "--encryption-provider-config=none"},
		"two of different IP families":                                        {"--etcd-servers=http://127.0.0.1:1", "--service-cluster-ip-range=10.0.0.0/24,10.1.0.0/24"},
		`"example.com": regular expression does not pin to start/end of host`: {"--etcd-servers=http://127.0.0.1:1", "--cors-allowed-origins=//a$,example.com"},
		"--goaway-chance can not be less than 0 or greater than":              {"--etcd-servers=http://127.0.0.1:1", "--goaway-chance=1"},
	} {
		cmd := apiserver.Command()
		cmd.SetArgs(args)
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want one line with %q", args, err, want)
		}
	}
}
