package member

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// given parses arguments as `septet etcd` does, with standard flags.
func given(t *testing.T, arguments ...string) (*Settings, error) {
	t.Helper()
	s, fs := Defaults(), flag.NewFlagSet("etcd", flag.ContinueOnError)
	s.AddFlags(fs)
	if err := fs.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	were := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { were[f.Name] = true })
	return s, s.Settle(fs, func(name string) bool { return were[name] })
}

func TestDefaultsAreAMemberAlone(t *testing.T) {
	t.Parallel()
	s, err := given(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if s.InitialCluster != "default=http://localhost:2380" || s.DataDir != "default.etcd" || join(s.ListenClient) != "http://localhost:2379" {
		t.Errorf("cluster %q, directory %q, clients %v", s.InitialCluster, s.DataDir, s.ListenClient)
	}
}

func TestAClusterIsNamedAfterItsMember(t *testing.T) {
	t.Parallel()
	s, err := given(t, "--name=a", "--initial-advertise-peer-urls=http://10.0.0.1:2380")
	if err != nil || s.InitialCluster != "a=http://10.0.0.1:2380" || s.DataDir != "a.etcd" {
		t.Errorf("cluster %q, directory %q, %v", s.InitialCluster, s.DataDir, err)
	}
	if s, err = given(t, "--discovery-srv=example.com"); err != nil || s.InitialCluster != "" {
		t.Errorf("with something to discover: cluster %q, %v", s.InitialCluster, err)
	}
}

func TestOlderNamesOfFlagsAreTheSameFlags(t *testing.T) {
	t.Parallel()
	s, err := given(t, "--experimental-watch-progress-notify-interval=7s", "--experimental-initial-corrupt-check")
	if err != nil {
		t.Fatal(err)
	}
	if s.WatchProgressNotifyInterval != 7*time.Second || !s.ServerFeatureGate.Enabled("InitialCorruptCheck") {
		t.Errorf("progress every %v, corrupt check %v", s.WatchProgressNotifyInterval, s.ServerFeatureGate.Enabled("InitialCorruptCheck"))
	}
	_, err = given(t, "--experimental-memory-mlock", "--memory-mlock=false")
	if err == nil || !strings.Contains(err.Error(), "only one can be given") {
		t.Errorf("both names: %v", err)
	}
	_, err = given(t, "--experimental-initial-corrupt-check", "--feature-gates=InitialCorruptCheck=false")
	if err == nil || !strings.Contains(err.Error(), "both set InitialCorruptCheck") {
		t.Errorf("a gate twice: %v", err)
	}
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	s, err := given(t,
		"--listen-client-urls=https://example.com:2379", "--advertise-client-urls=http://:2379",
		"--heartbeat-interval=100", "--election-timeout=300", "--auto-compaction-mode=never",
		"--initial-cluster-state=old", "--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2",
		"--log-outputs=default,stdout", "--distributed-tracing-sampling-rate=-1")
	if err != nil {
		t.Fatal(err)
	}
	err = s.Check()
	if err == nil {
		t.Fatal("nothing was wrong")
	}
	for _, want := range []string{
		"--listen-client-urls https://example.com:2379: an IP address is needed", "--advertise-client-urls http://:2379: the host is empty",
		"needs --cert-file", "--election-timeout (300 ms) must be at least five times", `--auto-compaction-mode is "never"`,
		`--initial-cluster-state is "old"`, "--tls-min-version TLS1.3 is above", "--log-outputs: default goes with no other",
		"--distributed-tracing-sampling-rate is -1",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nsays nothing of %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Error("more than one line")
	}
}

func TestRetentionIsHoursOrRevisions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		mode, text string
		want       time.Duration
	}{{"periodic", "0", 0}, {"periodic", "2", 2 * time.Hour}, {"periodic", "5m", 5 * time.Minute}, {"revision", "1000", 1000}} {
		s := Defaults()
		s.AutoCompactionMode, s.Retention = test.mode, test.text
		if got, err := s.retention(); err != nil || got != test.want {
			t.Errorf("%s %s is %d, %v; want %d", test.mode, test.text, got, err, test.want)
		}
	}
}

// TestAFileSaysWhatFlagsSay uses the keys of etcd's own example, etcd.conf.yml.sample.
func TestAFileSaysWhatFlagsSay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "etcd.yaml")
	content := `
name: infra1
data-dir: /var/lib/etcd
heartbeat-interval: 50
election-timeout: 500
quota-backend-bytes: 8589934592
listen-peer-urls: http://127.0.0.1:2390
listen-client-urls: http://127.0.0.1:2399,http://127.0.0.1:2398
initial-advertise-peer-urls: http://127.0.0.1:2390
advertise-client-urls: http://127.0.0.1:2399
corrupt-check-time: 5000000000
grpc-keepalive-interval: 1h
pre-vote: false
log-outputs: [stderr]
cipher-suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
feature-gates: CompactHashCheck=true
enable-v2: true
socket-options: {reuse-port: true}
client-transport-security: {cert-file: c.crt, key-file: c.key, client-cert-auth: true, trusted-ca-file: ca.crt, allowed-hostname: [example.com]}
peer-transport-security: {cert-file: p.crt, allowed-cn: [peer], skip-client-san-verification: true}
discovery-config: {token: abc, client: {endpoints: [a:1, b:2], secure: {cacert: d.crt}, auth: {username: u}}}
`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s, fs := Defaults(), flag.NewFlagSet("etcd", flag.ContinueOnError)
	s.AddFlags(fs)
	named, unknown, err := s.ReadFile(file, fs)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(unknown, []string{"enable-v2"}) || !slices.Contains(named, "peer-cert-allowed-cn") {
		t.Errorf("unknown %v, given %v", unknown, named)
	}
	for what, is := range map[string]bool{
		"name":      s.Name == "infra1" && s.DataDir == "/var/lib/etcd",
		"numbers":   s.TickMs == 50 && s.ElectionMs == 500 && s.QuotaBackendBytes == 8<<30,
		"URLs":      join(s.ListenClient) == "http://127.0.0.1:2398,http://127.0.0.1:2399" && s.PeerURLs[0].Host == "127.0.0.1:2390",
		"durations": s.CorruptCheckTime == 5*time.Second && s.PingEvery == time.Hour,
		"lists":     len(s.CipherSuites) == 2 && slices.Equal(s.Log.Outputs, []string{"stderr"}),
		"switches":  !s.PreVote && s.SocketOpts.ReusePort && s.ServerFeatureGate.Enabled("CompactHashCheck"),
		"clients":   s.ClientTLS.CertFile == "c.crt" && s.ClientTLS.ClientCertAuth && slices.Equal(s.ClientTLS.AllowedHostnames, []string{"example.com"}),
		"peers":     s.PeerTLSInfo.CertFile == "p.crt" && slices.Equal(s.PeerTLSInfo.AllowedCNs, []string{"peer"}) && s.PeerTLSInfo.SkipClientSANVerify,
		"discovery": s.DiscoveryCfg.Token == "abc" && len(s.DiscoveryCfg.Endpoints) == 2 && s.DiscoveryCfg.Secure.Cacert == "d.crt" && s.DiscoveryCfg.Auth.Username == "u",
	} {
		if !is {
			t.Errorf("%s are not what the file says: %+v", what, s)
		}
	}
	if err := os.WriteFile(file, []byte("name: a\nheartbeat-interval: often\nlisten-peer-urls: nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ReadFile(file, fs); err == nil || !strings.Contains(err.Error(), "heartbeat-interval") || !strings.Contains(err.Error(), "listen-peer-urls") {
		t.Errorf("wrong values: %v", err)
	}
}

// FuzzFile: a file sets flags, or is refused with one line.
func FuzzFile(f *testing.F) {
	f.Add("name: a\n")
	f.Add("client-transport-security: {cert-file: a}\ndiscovery-config: {client: {secure: []}}")
	f.Add("cors: 1\nsocket-options: x\nlog-outputs: [[a]]")
	f.Fuzz(func(t *testing.T, content string) {
		file := filepath.Join(t.TempDir(), "etcd.yaml")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s, fs := Defaults(), flag.NewFlagSet("etcd", flag.ContinueOnError)
		s.AddFlags(fs)
		named, _, err := s.ReadFile(file, fs)
		if err == nil {
			for _, name := range named {
				if f := fs.Lookup(name); f == nil && !strings.Contains(name, "-") {
					t.Errorf("%q was set and is no flag", name)
				}
			}
		}
	})
}
