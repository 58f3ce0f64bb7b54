package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A machine that has had a cluster gets its kernel settings back, those of the first start, even if the server was started often.
func TestTheHostIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	kernel, p := t.TempDir(), paths{data: t.TempDir()}
	set := func(name, value string) {
		t.Helper()
		file := filepath.Join(kernel, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.restoreHost(kernel); err != nil {
		t.Errorf("without a memory: %v", err)
	}
	set("net/ipv4/ip_forward", "0")
	set("net/netfilter/nf_conntrack_max", "65536")
	for range 2 {
		if err := p.rememberHost(kernel); err != nil {
			t.Fatal(err)
		}
		set("net/ipv4/ip_forward", "1")
		set("net/netfilter/nf_conntrack_max", "131072")
		set("net/ipv6/conf/all/forwarding", "1") // the kernel did not have it at first
	}
	if err := p.restoreHost(kernel); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"net/ipv4/ip_forward": "0", "net/netfilter/nf_conntrack_max": "65536", "net/ipv6/conf/all/forwarding": "1"} {
		got, err := os.ReadFile(filepath.Join(kernel, name))
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %q, want %s (%v)", name, got, want, err)
		}
	}
	if err := os.WriteFile(p.host(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.restoreHost(kernel); err == nil || !strings.Contains(err.Error(), "host.json") {
		t.Errorf("a broken memory: %v", err)
	}
}
