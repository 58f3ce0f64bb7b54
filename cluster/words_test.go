package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/pki"
)

const pinned = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestTokensAreReadBackAsTheyArePrinted(t *testing.T) {
	t.Parallel()
	text := "abc123.0123456789abcdef@" + pinned
	token, err := parseToken(" " + text + "\n")
	if err != nil || token.String() != text || token.bearer() != "abc123.0123456789abcdef" || token.pin != pinned {
		t.Errorf("got %v, %v", token, err)
	}
	for _, bad := range []string{"", "abc123.0123456789abcdef", "ABC123.0123456789abcdef@" + pinned, text + "0", "abc123.0123@" + pinned, strings.Replace(text, "sha256", "md5", 1)} {
		if _, err := parseToken(bad); err == nil || strings.Contains(err.Error(), "0123456789abcdef") {
			t.Errorf("%q: %v; want an error that does not repeat the secret", bad, err)
		}
	}
}

func TestTheAuthorityIsTheOneThatIsPinned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, err := pki.LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "test")
	if err != nil {
		t.Fatal(err)
	}
	serve := func(hosts ...string) string {
		t.Helper()
		pair, err := ca.TLS(pki.Leaf{CommonName: "kube-apiserver", Server: true, Hosts: hosts})
		if err != nil {
			t.Fatal(err)
		}
		if len(pair.Certificate) == 1 {
			pair.Certificate = append(pair.Certificate, ca.Certificate.Raw)
		}
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				if server, ok := conn.(*tls.Conn); ok {
					// A client that does not like the certificate is what some tests are about.
					if err := server.Handshake(); err == nil || errors.Is(err, net.ErrClosed) {
						conn.Close()
						continue
					}
				}
				conn.Close()
			}
		}()
		return "https://" + listener.Addr().String()
	}
	good := serve("127.0.0.1")
	for name, test := range map[string]struct{ server, pin, fails string }{
		"pinned":           {good, ca.Hash(), ""},
		"another pin":      {good, pinned, "not the one that the token names"},
		"another's name":   {serve("else.example"), ca.Hash(), "127.0.0.1"},
		"not https":        {strings.Replace(good, "https", "http", 1), ca.Hash(), "must be like https://"},
		"not a URL":        {"host:6443", ca.Hash(), "must be like https://"},
		"nobody listening": {"https://127.0.0.1:1", ca.Hash(), "server https://127.0.0.1:1"},
	} {
		authority, err := fetchAuthority(context.Background(), test.server, test.pin)
		switch {
		case test.fails == "" && (err != nil || string(authority) != string(ca.PEM)):
			t.Errorf("%s: %s, %v", name, authority, err)
		case test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)):
			t.Errorf("%s: %v; want %q", name, err, test.fails)
		}
	}
}

// TestDataDirectoriesHaveOneServer is not parallel: a claim lasts as long as the process.
func TestDataDirectoriesHaveOneServer(t *testing.T) {
	o := &Options{DataDir: filepath.Join(t.TempDir(), "data"), NodeName: "a"}
	p := paths{o.DataDir, o.NodeName}
	if pid, err := runningPID(p); pid != 0 || err != nil {
		t.Errorf("before: %d, %v", pid, err)
	}
	lock, err := o.claim()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if pid, err := runningPID(p); pid != os.Getpid() || err != nil {
		t.Errorf("claimed by %d, %v", pid, err)
	}
	if _, err := o.claim(); err == nil || !strings.Contains(err.Error(), "is used by process") {
		t.Errorf("claimed twice: %v", err)
	}
	newer := &Options{DataDir: t.TempDir(), NodeName: "a"}
	for text, want := range map[string]string{"99\n": "written by a newer septet", "x": "does not say a version"} {
		if err := os.WriteFile(paths{newer.DataDir, "a"}.version(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := newer.claim(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("version %q: %v; want %q", text, err, want)
		}
	}
}

func TestOptionsThatCannotWorkAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Options)
		fails  string
	}{
		"defaults":          {func(*Options) {}, ""},
		"node name":         {func(o *Options) { o.NodeName = "A_b" }, "--node-name"},
		"node address":      {func(o *Options) { o.NodeIP = "x" }, "--node-ip"},
		"address to listen": {func(o *Options) { o.BindAddress = "x" }, "--bind-address"},
		"Pod range":         {func(o *Options) { o.ClusterCIDR = "10.0.0.0" }, "--cluster-cidr"},
		"ranges overlap":    {func(o *Options) { o.ClusterCIDR = "10.96.0.0/12" }, "overlap"},
		"balancers overlap": {func(o *Options) { o.ServiceCIDR = "10.96.0.0/12" }, "--load-balancer-cidr 10.97.0.0/24 and --service-cidr 10.96.0.0/12 overlap"},
		"name server":       {func(o *Options) { o.ClusterDNS = "10.0.0.10" }, "--cluster-dns"},
		"port":              {func(o *Options) { o.Port = 70000 }, "--port"},
		"no nodes":          {func(o *Options) { o.Nodes = 0 }, "--nodes"},
		"contradiction":     {func(o *Options) { o.Nodes, o.DisableAgent = 2, true }, "contradict"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &Options{
				DataDir: t.TempDir(), NodeName: "a", NodeIP: "192.0.2.1", BindAddress: "0.0.0.0", Port: 6443, Nodes: 1,
				ClusterCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/16", LoadBalancerCIDR: "10.97.0.0/24",
			}
			test.change(o)
			err := o.completeServer()
			switch {
			case test.fails == "" && (err != nil || o.ClusterDNS != "10.96.0.10"):
				t.Errorf("%v; name server %s", err, o.ClusterDNS)
			case test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)):
				t.Errorf("%v; want %q", err, test.fails)
			}
		})
	}
}

func TestStoriesFollowOwners(t *testing.T) {
	t.Parallel()
	start := time.Now()
	step := func(kind, name, owner string) journal.Record {
		return journal.Record{Time: start, Kind: kind, Namespace: "shop", Name: name, Owner: owner}
	}
	records := []journal.Record{
		step("Pod", "web-1", "ReplicaSet/shop/web"), step("Deployment", "web", ""), step("ReplicaSet", "web", "Deployment/shop/web"),
		step("Pod", "else", ""), step("Pod", "other-1", "ReplicaSet/bank/web"),
	}
	var told []string
	for _, r := range Story(records, []subject{{"deployment", "shop", "web"}}) {
		told = append(told, r.Name)
	}
	if got := strings.Join(told, " "); got != "web-1 web web" {
		t.Errorf("told of %s", got)
	}
}

func TestLinesFitTheScreen(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for name, record := range map[string]journal.Record{
		"short": {Component: "kubelet", Step: "start", Kind: "Pod", Name: "web"},
		"long": {
			Component: "cloud-controller-manager-of-somebody", Step: "something-that-takes-long", Kind: "HorizontalPodAutoscaler",
			Name: strings.Repeat("name-", 20), Duration: 12345 * time.Millisecond, Note: strings.Repeat("word ", 50),
		},
		"one long word": {Component: "kubelet", Step: "pull", Kind: "Pod", Name: "web", Note: "image " + strings.Repeat("x", 250)},
		"other letters": {Component: "kubelet", Step: "größe", Kind: "Pod", Name: strings.Repeat("é", 60), Note: strings.Repeat("ü", 200)},
	} {
		record.Time = start.Add(30 * time.Hour)
		all := lines(&record, start)
		for _, line := range all {
			if utf8.RuneCountInString(line) > width || !utf8.ValidString(line) {
				t.Errorf("%s: %d columns: %q", name, utf8.RuneCountInString(line), line)
			}
		}
	}
}

func TestFindingsAreCountedAndRemediesShown(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	missing := PrintFindings(&out, []Finding{{"root", "ok", "running as root", ""}, {"conntrack", "lacking", "not there", "load it"}, {"overlayfs", "missing", "unknown", "load that"}})
	if missing != 1 || strings.Count(out.String(), "→") != 2 || !strings.Contains(out.String(), "load that") {
		t.Errorf("%d missing:\n%s", missing, out.String())
	}
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := checkPort(taken.Addr().(*net.TCPAddr).Port); err == nil {
		t.Error("a port that is in use is said to be free")
	}
}

func TestFileSystemsAreAskedFor(t *testing.T) {
	t.Parallel()
	if said, err := checkFilesystem("tmpfs")(nil); err != nil || said != "known to the kernel" {
		t.Errorf("tmpfs: %q, %v", said, err)
	}
	if said, err := checkFilesystem("nosuchfs")(nil); err == nil || !strings.Contains(err.Error(), "does not know nosuchfs") {
		t.Errorf("a file system that there is not: %q, %v", said, err)
	}
}
