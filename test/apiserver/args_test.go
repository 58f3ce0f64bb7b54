package apiserver

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/pki"
)

// TestArgsChangeAServer: flags of kube-apiserver for a server that is put together otherwise.
func TestArgsChangeAServer(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "audit.log")
	encryption := write(t, "encryption.yaml", `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources: [{resources: ["secrets"], providers: [{aesgcm: {keys: [{name: k, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}}]}]
`)
	args, err := apiserver.ParseArgs([]string{
		"audit-log-path=" + log, "--audit-policy-file=" + write(t, "policy.yaml", auditPolicy), "encryption-provider-config=" + encryption, "goaway-chance=0.01",
	})
	if err != nil {
		t.Fatal(err)
	}
	s := Start(t, func(c *apiserver.Config) {
		end, err := args.Apply(c, &apiserver.Standard{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
	})
	s.Namespace("n")
	if a := s.Do("POST", "/api/v1/namespaces/n/secrets", `{"metadata":{"name":"s"},"stringData":{"k":"hidden"}}`); a.Code != 201 {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	stored, err := s.Etcd.Client().Get(t.Context(), "/registry/secrets/n/s")
	if err != nil || len(stored.Kvs) != 1 || !strings.HasPrefix(string(stored.Kvs[0].Value), "k8s:enc:aesgcm:v1:k:") {
		t.Errorf("stored: %+v, %v", stored, err)
	}
	s.Do("DELETE", "/api/v1/namespaces/n/secrets/s", "") // the test's end reads what is left, and has no key
	if recorded, err := os.ReadFile(log); err != nil || !strings.Contains(string(recorded), "/api/v1/namespaces/n/secrets") {
		t.Errorf("recorded: %s, %v", recorded, err)
	}
}

func TestBadArgs(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"etcd-servers=x": "decided by the cluster", "no-such=1": "unknown flag", "egress-selector-config-file=x": "not supported", "goaway-chance=a": "invalid argument",
	} {
		if _, err := apiserver.ParseArgs([]string{arg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
}

// TestCertificatesByName serves another certificate to those who ask for its name.
func TestCertificatesByName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority, err := pki.LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "other")
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	if _, err := authority.Ensure(cert, key, pki.Leaf{CommonName: "other", Hosts: []string{"own.example.com"}, Server: true}); err != nil {
		t.Fatal(err)
	}
	for flag, names := range map[string]map[string]bool{
		cert + "," + key:                      {"own.example.com": true, "x.example.com": false},
		cert + "," + key + ":*.example.com,b": {"own.example.com": true, "X.example.com": true, "b": true, "a.b.example.com": false, "localhost": false},
	} {
		args, err := apiserver.ParseArgs([]string{"tls-sni-cert-key=" + flag})
		if err != nil {
			t.Fatal(err)
		}
		s := Start(t, func(c *apiserver.Config) {
			if _, err := args.Apply(c, &apiserver.Standard{}); err != nil {
				t.Fatal(err)
			}
		})
		for name, other := range names {
			conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL, "https://"), &tls.Config{ServerName: name, InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName == "other"; got != other {
				t.Errorf("%s: asked for %s, the other certificate: %v", flag, name, got)
			}
			conn.Close()
		}
	}
}

// TestMetricsUnderUpstreamsNames: those that upstream promises to keep, with their labels.
func TestMetricsUnderUpstreamsNames(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Namespace("n")
	s.Do("GET", "/readyz", "")
	s.Do("GET", "/api/v1/namespaces/n/configmaps", "")
	text := s.Do("GET", "/metrics", "").Body
	for _, line := range []string{
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",system_client="",verb="LIST",version="v1"}`,
		`apiserver_request_duration_seconds_bucket{component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",verb="LIST",version="v1",le="0.005"}`,
		`apiserver_response_sizes_bucket{component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="LIST",version="v1",le="1000"`,
		`apiserver_current_inflight_requests{request_kind="readOnly"}`,
		`kubernetes_healthcheck{name="etcd",type="readyz"} 1`,
		`kubernetes_healthchecks_total{name="etcd",status="success",type="readyz"} `,
		`kubernetes_build_info{`,
		`apiserver_storage_objects{resource="namespaces"} `,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("no line begins with %s", line)
		}
	}
}
