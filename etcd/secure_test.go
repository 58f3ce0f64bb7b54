package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/septet-io/septet/pki"
)

// papers are an authority and certificates that it has signed, as files.
type papers struct {
	dir       string
	authority *pki.Authority
}

func newPapers(t *testing.T) papers {
	t.Helper()
	p := papers{dir: t.TempDir()}
	var err error
	if p.authority, err = pki.LoadOrCreateAuthority(p.file("ca.crt"), p.file("ca.key"), "etcd"); err != nil {
		t.Fatal(err)
	}
	leaf := pki.Leaf{CommonName: "member", Hosts: []string{"127.0.0.1"}, Server: true, Client: true}
	if _, err := p.authority.Ensure(p.file("member.crt"), p.file("member.key"), leaf); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p papers) file(name string) string { return filepath.Join(p.dir, name) }

func (p papers) tls() TLS {
	return TLS{CertFile: p.file("member.crt"), KeyFile: p.file("member.key"), TrustedCAFile: p.file("ca.crt"), ClientCertAuth: true}
}

// client is what a client of the authority connects with; without a certificate if it has no name.
func (p papers) client(t *testing.T, name string) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(p.authority.Certificate)
	if name != "" {
		pair, err := p.authority.TLS(pki.Leaf{CommonName: name, Client: true})
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

func dial(t *testing.T, endpoint string, config *tls.Config) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, TLS: config, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func fetch(t *testing.T, client *http.Client, method, address, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// TestClientsWithTLS: gRPC and HTTP are on one port, for those with a certificate only.
func TestClientsWithTLS(t *testing.T) {
	t.Parallel()
	p := newPapers(t)
	secure := []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	s := startMember(t, Config{ListenClient: secure, ListenMetrics: loopback(), ClientTLS: p.tls()})
	endpoint := s.Endpoints()[0]

	client := dial(t, endpoint, p.client(t, "friend"))
	if _, err := client.Put(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, "a", "1")
	watching, endWatch := context.WithCancel(t.Context())
	defer endWatch()
	changes := client.Watch(watching, "a", clientv3.WithRev(1))
	if got := <-changes; len(got.Events) != 1 {
		t.Fatalf("watch: %+v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := dial(t, endpoint, p.client(t, "")).Get(ctx, "a"); err == nil {
		t.Error("a client without a certificate was served")
	}

	friend := &http.Client{Transport: &http.Transport{TLSClientConfig: p.client(t, "friend"), ForceAttemptHTTP2: true}}
	for path, want := range map[string]string{"/health": `"health":"true"`, "/version": `"etcdserver":"3.`, "/readyz": "ok", "/metrics": "etcd_cluster_version"} {
		if code, body := fetch(t, friend, "GET", endpoint+path, ""); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s; want %s", path, code, body, want)
		}
	}
	if _, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: p.client(t, "")}}).Get(endpoint + "/health"); err == nil {
		t.Error("HTTP without a certificate was served")
	}
	// The stop does not wait for the watch to end, which it never would by itself.
	began := time.Now()
	s.Stop()
	t.Logf("stopped in %v", time.Since(began))
}

// TestMembersWithTLS: three members that trust one authority elect a leader, and agree.
func TestMembersWithTLS(t *testing.T) {
	t.Parallel()
	p := newPapers(t)
	var configs []Config
	var cluster []string
	for _, name := range []string{"one", "two", "three"} {
		peer := freeURL(t)
		peer.Scheme = "https"
		cluster = append(cluster, name+"="+peer.String())
		configs = append(configs, Config{Name: name, DataDir: t.TempDir(), ListenPeer: []url.URL{peer}, PeerTLS: p.tls(), UnsafeNoFsync: true,
			Heartbeat: 20 * time.Millisecond, Election: 200 * time.Millisecond})
	}
	servers := make([]*Server, len(configs))
	failures := make(chan error, len(configs))
	for i := range configs {
		configs[i].InitialCluster = strings.Join(cluster, ",")
		go func() {
			var err error
			servers[i], err = Start(t.Context(), configs[i])
			failures <- err
		}()
	}
	for range configs {
		if err := <-failures; err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range servers {
		t.Cleanup(s.Stop)
		put(t, s, fmt.Sprint("from ", i), "1")
	}
	for i := range servers {
		wantValue(t, servers[(i+1)%3], fmt.Sprint("from ", i), "1")
	}
	// A member that was away finds what it missed in its own log and in the others'.
	servers[2].Stop()
	put(t, servers[0], "meanwhile", "2")
	back, err := Start(t.Context(), configs[2])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(back.Stop)
	wantValue(t, back, "meanwhile", "2")
	wantValue(t, back, "from 2", "1")
}
