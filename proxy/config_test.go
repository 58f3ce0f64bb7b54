package proxy

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/kube-proxy/config/v1alpha1"
	"sigs.k8s.io/yaml"
)

// reference is where upstream's data lies.
func reference() string {
	if dir := os.Getenv("SEPTET_REFERENCE"); dir != "" {
		return dir
	}
	return "../../shared/reference"
}

// The configuration with its defaults is upstream's, field by field.
func TestDefaults(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile(filepath.Join(reference(), "config/KubeProxyConfiguration.after.v1alpha1.yaml"))
	if err != nil {
		t.Skip("no reference data here")
	}
	var c v1alpha1.KubeProxyConfiguration
	SetDefaults(&c)
	got, err := yaml.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-upstream +ours\n%s", diff)
	}
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, got, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*v1alpha1.KubeProxyConfiguration)
		want   string
	}{
		"nothing":      {func(*v1alpha1.KubeProxyConfiguration) {}, ""},
		"gates":        {func(c *v1alpha1.KubeProxyConfiguration) { c.FeatureGates = map[string]bool{"Mine": true} }, "featureGates: unrecognized feature gate: Mine"},
		"mode":         {func(c *v1alpha1.KubeProxyConfiguration) { c.Mode = "ipvs" }, `mode: "ipvs" is not supported`},
		"iptables":     {func(c *v1alpha1.KubeProxyConfiguration) { c.Mode = "iptables" }, ""},
		"its bit":      {func(c *v1alpha1.KubeProxyConfiguration) { c.Mode, *c.IPTables.MasqueradeBit = "iptables", 40 }, "iptables.masqueradeBit: 40"},
		"bit":          {func(c *v1alpha1.KubeProxyConfiguration) { *c.NFTables.MasqueradeBit = 32 }, "nftables.masqueradeBit: 32"},
		"cluster":      {func(c *v1alpha1.KubeProxyConfiguration) { c.ClusterCIDR = "10.0.0.0/8,x" }, `clusterCIDR: "x" must be`},
		"bridge":       {func(c *v1alpha1.KubeProxyConfiguration) { c.DetectLocalMode = localBridge }, "detectLocal.bridgeInterface: must be set"},
		"local mode":   {func(c *v1alpha1.KubeProxyConfiguration) { c.DetectLocalMode = "Magic" }, `detectLocalMode: "Magic" must be`},
		"node ports":   {func(c *v1alpha1.KubeProxyConfiguration) { c.NodePortAddresses = []string{"10.0.0.0/8", "primary"} }, "can't use both"},
		"node ports 2": {func(c *v1alpha1.KubeProxyConfiguration) { c.NodePortAddresses = []string{"10.0.0.1"} }, "must be a valid CIDR block"},
	} {
		var configuration v1alpha1.KubeProxyConfiguration
		SetDefaults(&configuration)
		c.change(&configuration)
		_, err := parse(&configuration)
		if got := text(err); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestNodePortAddresses(t *testing.T) {
	t.Parallel()
	var all []address
	for _, text := range []string{"127.0.0.1/8", "192.0.2.1/24", "10.0.0.1/32", "192.0.2.9/32", "::1/128", "fe80::1/64", "fd00::1/64"} {
		prefix := netip.MustParsePrefix(text)
		all = append(all, address{Addr: prefix.Addr(), single: prefix.IsSingleIP()})
	}
	for list, want := range map[string]string{
		"": "[192.0.2.1 192.0.2.9 fd00::1]", "10.0.0.0/8": "[10.0.0.1]", "127.0.0.0/8,::/0": "[fd00::1]", "primary": "[192.0.2.9]",
	} {
		var s settings
		if list != "" {
			if err := s.parseNodePorts(strings.Split(list, ",")); err != nil {
				t.Fatal(err)
			}
		}
		var e environment
		e.init(s, func() {})
		e.nodeIPs = []netip.Addr{netip.MustParseAddr("192.0.2.9")}
		e.setMachine(all, nil)
		if got := e.take().NodePortIPs; strings.ReplaceAll(strings.Trim(textOf(got), " "), "  ", " ") != want {
			t.Errorf("%q opens %v, want %s", list, got, want)
		}
	}
}

func textOf(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, addr := range addrs {
		words[i] = addr.String()
	}
	return "[" + strings.Join(words, " ") + "]"
}

// A flag that upstream has is one that we have.
func TestFlags(t *testing.T) {
	t.Parallel()
	command := Command()
	for _, name := range strings.Fields(`bind-address bind-address-hard-fail cleanup cluster-cidr config config-sync-period
		conntrack-max-per-core conntrack-min conntrack-tcp-be-liberal conntrack-tcp-timeout-close-wait conntrack-tcp-timeout-established
		conntrack-udp-timeout conntrack-udp-timeout-stream detect-local-mode feature-gates healthz-bind-address hostname-override init-only
		iptables-localhost-nodeports iptables-masquerade-bit iptables-min-sync-period iptables-sync-period ipvs-exclude-cidrs
		ipvs-min-sync-period ipvs-scheduler ipvs-strict-arp ipvs-sync-period ipvs-tcp-timeout ipvs-tcpfin-timeout ipvs-udp-timeout
		kube-api-burst kube-api-content-type kube-api-qps kubeconfig log-flush-frequency logging-format masquerade-all master
		metrics-bind-address nodeport-addresses oom-score-adj pod-bridge-interface pod-interface-name-prefix profiling proxy-mode
		show-hidden-metrics-for-version v version vmodule write-config-to`) {
		if command.Flags().Lookup(name) == nil {
			t.Errorf("--%s is missing", name)
		}
	}
}
