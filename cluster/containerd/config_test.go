package containerd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/septet-io/septet/cluster/carried"
)

func TestConfigsThatCannotWork(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]Config{
		"NodeName":               {DataDir: "/data"},
		"must be a file name":    {NodeName: "a/b", DataDir: "/data"},
		"must be an absolute":    {NodeName: "a", DataDir: "data"},
		"too long for socket":    {NodeName: "a", DataDir: "/data", StateDir: "/run/" + strings.Repeat("x", 100)},
		"too long for socket pa": {NodeName: strings.Repeat("n", 200), DataDir: "/data"},
	} {
		if _, err := config.withDefaults(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", config, err, want)
		}
	}
}

func TestSocketPathsAreShort(t *testing.T) {
	t.Parallel()
	a, err := Config{NodeName: strings.Repeat("n", 63), DataDir: "/data"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Config{NodeName: strings.Repeat("m", 63), DataDir: "/data"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if longest := len(a.shimSockets()) + 1 + 64; longest > maxSocketPath {
		t.Errorf("a shim's socket has %d bytes", longest)
	}
	if a.shimSockets() == b.shimSockets() {
		t.Error("two nodes share a folder of sockets")
	}
}

// The digest decides whether a running containerd may be adopted.
func TestTheDigestFollowsConfigurationAndPrograms(t *testing.T) {
	t.Parallel()
	c, err := Config{NodeName: "a", DataDir: t.TempDir()}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(c.root(), 0o700); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, one := range []struct {
		name, level, netns, bin string
	}{{"plain", "warn", "", "/bin/1"}, {"programs", "warn", "", "/bin/2"}, {"log", "debug", "", "/bin/1"}, {"network", "warn", "/run/netns/x", "/bin/1"}} {
		c.LogLevel, c.NetNS = one.level, one.netns
		digest, err := writeConfig(c, one.bin)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := writeConfig(c, one.bin); err != nil || again != digest {
			t.Errorf("%s: equal configurations differ: %v", one.name, err)
		}
		if other := seen[digest]; other != "" {
			t.Errorf("%s and %s do not differ", one.name, other)
		}
		seen[digest] = one.name
	}
}

// A containerd that cannot start says why.
func TestAFailedStartIsExplained(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("must be root to run containers")
	}
	if _, err := carried.Digest(carried.Containerd); errors.Is(err, carried.ErrMissing) {
		t.Skip(err)
	}
	dir := t.TempDir()
	config := Config{NodeName: "failing", DataDir: dir, StateDir: filepath.Join(dir, "s"), LogLevel: "nonsense"}
	t.Cleanup(func() { Purge(t.Context(), config) })
	_, err := Start(t.Context(), config)
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v", err)
	}
	// The lock is free again, so the next attempt meets the same problem and no other.
	if _, err := Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("again: %v", err)
	}
}

func TestMountPointsAreUnescaped(t *testing.T) {
	t.Parallel()
	if got := unescape(`/a\040b\011c\134d`); got != "/a b\tc\\d" {
		t.Errorf("got %q", got)
	}
}
