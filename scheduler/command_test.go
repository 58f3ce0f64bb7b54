package scheduler

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/scheduler/config"
)

// A flag that there is not is a usage error; a configuration with mistakes names them all and is a failure; a good one is written out with its defaults.
func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(args ...string) (int, error) {
		cmd := Command()
		cmd.SetArgs(args)
		cmd.SetOut(&bytes.Buffer{})
		var failure error
		inner := cmd.RunE
		cmd.RunE = func(c *cobra.Command, args []string) error { failure = inner(c, args); return failure }
		return daemon.Main(cmd), failure
	}
	if code, _ := run("--no-such-flag"); code != daemon.ExitUsage {
		t.Errorf("unknown flag: exit %d", code)
	}
	if code, err := run("--min-compatibility-version=1.2"); code != daemon.ExitUsage || err == nil || !strings.Contains(err.Error(), "--min-compatibility-version") {
		t.Errorf("version that is not there: exit %d, %v", code, err)
	}
	bad := file("bad.yaml", "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nparallelism: -1\npodMaxBackoffSeconds: 0\n")
	code, err := run("--config", bad)
	if code != daemon.ExitFailure || err == nil || !strings.Contains(err.Error(), "parallelism") || !strings.Contains(err.Error(), "podMaxBackoffSeconds") {
		t.Errorf("bad configuration: exit %d, %v", code, err)
	}
	policy := file("policy.yaml", "apiVersion: v1\nkind: Policy\npriorities: [{name: MostRequestedPriority, weight: 2}]\n")
	out := filepath.Join(dir, "out.yaml")
	if code, err := run("--policy-config-file", policy, "--leader-elect=false", "--write-config-to", out); code != 0 {
		t.Fatalf("exit %d, %v", code, err)
	}
	c, err := config.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if *c.LeaderElection.LeaderElect || *c.Profiles[0].Plugins.Score.Enabled[0].Weight != 2 {
		t.Errorf("written: %+v", c)
	}
}
