package controllers

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// execute runs the command with arguments and returns what it printed and its error.
func execute(args ...string) (string, error) {
	var out bytes.Buffer
	cmd := Command()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

func TestHelpListsUpstreamsFlags(t *testing.T) {
	t.Parallel()
	help, err := execute("--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{
		"controllers", "kubeconfig", "leader-elect", "leader-elect-lease-duration", "use-service-account-credentials", "root-ca-file",
		"service-account-private-key-file", "cluster-signing-cert-file", "cluster-signing-key-file", "cluster-signing-duration",
		"cluster-signing-kubelet-serving-cert-file", "cluster-signing-kube-apiserver-client-key-file", "allocate-node-cidrs", "cluster-cidr",
		"service-cluster-ip-range", "node-cidr-mask-size", "node-monitor-grace-period", "terminated-pod-gc-threshold",
		"concurrent-deployment-syncs", "concurrent-replicaset-syncs", "concurrent-rc-syncs", "concurrent-statefulset-syncs", "concurrent-daemonset-syncs",
		"concurrent-job-syncs", "concurrent-cron-job-syncs", "concurrent-namespace-syncs", "concurrent-gc-syncs", "concurrent-ttl-after-finished-syncs",
		"concurrent-serviceaccount-token-syncs", "concurrent-horizontal-pod-autoscaler-syncs", "horizontal-pod-autoscaler-sync-period",
		"secure-port", "bind-address", "tls-cert-file", "client-ca-file", "authentication-kubeconfig", "feature-gates", "enable-garbage-collector",
	} {
		if !strings.Contains(help, "--"+flag+" ") {
			t.Errorf("--%s is not among the flags", flag)
		}
	}
	for _, name := range Names() {
		if !strings.Contains(help, name) {
			t.Errorf("%s is not among the controllers", name)
		}
	}
}

func TestWhatIsWrongIsOneClearLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--no-such-flag"}, "unknown flag: --no-such-flag"},
		{[]string{"--feature-gates=NoSuch=true"}, "unrecognized feature gate: NoSuch"},
		{[]string{"--emulated-version=1.30"}, "--emulated-version: 1.30 is not supported"},
		{[]string{"--controllers=no-such-controller"}, `"no-such-controller" is not a controller`},
		{[]string{"--controllers=*,resourceclaim-controller"}, "resourceclaim-controller is not supported"},
		{[]string{"--concurrent-job-syncs=0"}, "--concurrent-job-syncs must be positive"},
		{[]string{"--allocate-node-cidrs"}, "--cluster-cidr"},
		{[]string{"--cluster-signing-cert-file=x"}, "go together"},
		{[]string{"more"}, "unexpected argument"},
	} {
		_, err := execute(append(test.args, "--secure-port=0")...)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", test.args, err)
		}
	}
}

func TestSelection(t *testing.T) {
	t.Parallel()
	on, off := &Entry{Name: "job-controller", Alias: "job"}, &Entry{Name: "token-cleaner-controller", Alias: "tokencleaner", Off: true}
	for _, test := range []struct {
		selection      string
		on, offEnabled bool
	}{
		{"", true, false}, {"*", true, false}, {"job", true, false}, {"job-controller", true, false}, {"-job,*", false, false},
		{"*,-job-controller", false, false}, {"*,tokencleaner", true, true}, {"cronjob", false, false},
	} {
		var selection []string
		if test.selection != "" {
			selection = strings.Split(test.selection, ",")
		}
		if on.enabled(selection) != test.on || off.enabled(selection) != test.offEnabled {
			t.Errorf("%q: %v, %v", test.selection, on.enabled(selection), off.enabled(selection))
		}
	}
}

// Selections that upstream's installers write: kubeadm's, and k3s' whose cloud controllers are elsewhere.
func TestSelectionsOfInstallers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"*,bootstrapsigner,tokencleaner", "*,tokencleaner,-service,-route,-cloud-node-lifecycle", "*,-attachdetach,-ttl-controller"} {
		if err := checkSelection(strings.Split(text, ",")); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestTheTableIsSound: names, aliases and flags are what people and RBAC know the controllers by.
func TestTheTableIsSound(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, e := range all {
		for _, name := range []string{e.Name, e.Alias} {
			if among(missing, name) {
				t.Errorf("%s is here", name)
			}
			if name != "" && seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		if !strings.HasSuffix(e.Name, "-controller") || e.New == nil {
			t.Errorf("%s is not a controller", e.Name)
		}
		if e.Flag != "" && e.Workers <= 0 {
			t.Errorf("%s has --%s without a default", e.Name, e.Flag)
		}
	}
}
