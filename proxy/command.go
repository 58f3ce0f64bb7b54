package proxy

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kube-proxy/config/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/daemon/gates"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/proxy/conntrack"
	"github.com/septet-io/septet/proxy/nft"
)

// Command returns the command kube-proxy: this component alone, against any API server, with upstream's flags and configuration file.
func Command() *cobra.Command {
	o := &options{}
	SetDefaults(&o.settings)
	return daemon.Component(component, "Make the addresses of Services lead to their Pods", o.add, o.run)
}

// options are the command line. With --config the file counts instead of the flags, but for those that say how to start.
type options struct {
	settings v1alpha1.KubeProxyConfiguration

	file, writeTo, master string
	cleanup, initOnly     bool
	mode, detectLocal     string
	masqueradeAll         bool
	masqueradeBit         int32
	unused                unused
}

// unused takes the values of flags that have no meaning for nftables.
type unused struct {
	duration time.Duration
	text     string
	list     []string
	yes      bool
}

func (o *options) add(flags *pflag.FlagSet) {
	s := &o.settings
	flags.StringVar(&o.file, "config", "", "configuration file (KubeProxyConfiguration); the other flags are then ignored")
	flags.StringVar(&o.writeTo, "write-config-to", "", "write the configuration with its defaults to this file and exit")
	flags.BoolVar(&o.cleanup, "cleanup", false, "remove the proxy's rules and exit")
	flags.BoolVar(&o.initOnly, "init-only", false, "do what needs privileges and exit")
	flags.StringVar(&s.ClientConnection.Kubeconfig, "kubeconfig", "", "kubeconfig file with the address of the API server and credentials")
	flags.StringVar(&o.master, "master", "", "address of the API server, in place of the kubeconfig's")
	flags.StringVar(&s.ClientConnection.ContentType, "kube-api-content-type", s.ClientConnection.ContentType, "content type of requests to the API server")
	flags.Float32Var(&s.ClientConnection.QPS, "kube-api-qps", s.ClientConnection.QPS, "requests a second to the API server")
	flags.Int32Var(&s.ClientConnection.Burst, "kube-api-burst", s.ClientConnection.Burst, "requests at once to the API server")
	flags.StringVar(&s.HostnameOverride, "hostname-override", "", "name of this node; its host name if empty")
	flags.StringVar(&s.BindAddress, "bind-address", s.BindAddress, "primary address of this node")
	flags.StringVar(&s.HealthzBindAddress, "healthz-bind-address", s.HealthzBindAddress, "address and port of the health check; empty serves none")
	flags.StringVar(&s.MetricsBindAddress, "metrics-bind-address", s.MetricsBindAddress, "address and port of the metrics; empty serves none")
	flags.BoolVar(&s.BindAddressHardFail, "bind-address-hard-fail", false, "exit if a port cannot be opened")
	flags.BoolVar(&s.EnableProfiling, "profiling", false, "serve profiles at /debug/pprof on the metrics port")
	flags.StringVar(&o.mode, "proxy-mode", "", "nftables, which is also the default; iptables is taken for it")
	flags.StringVar(&s.ClusterCIDR, "cluster-cidr", "", "range of the cluster's Pods; two, with a comma, for dual stack")
	flags.StringVar(&o.detectLocal, "detect-local-mode", "", "how traffic of Pods is recognized: ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix")
	flags.StringVar(&s.DetectLocal.BridgeInterface, "pod-bridge-interface", "", "bridge of the Pods, for BridgeInterface")
	flags.StringVar(&s.DetectLocal.InterfaceNamePrefix, "pod-interface-name-prefix", "", "beginning of the names of Pods' devices, for InterfaceNamePrefix")
	flags.StringSliceVar(&s.NodePortAddresses, "nodeport-addresses", nil, "ranges of this node's addresses on which node ports are open, or primary; all if empty")
	flags.BoolVar(&o.masqueradeAll, "masquerade-all", false, "hide the sender of everything that is sent to cluster IPs")
	flags.Int32Var(&o.masqueradeBit, "iptables-masquerade-bit", 14, "bit of the packet mark that asks for masquerade")
	flags.DurationVar(&s.NFTables.SyncPeriod.Duration, "iptables-sync-period", 0, "accepted for compatibility: nothing is done periodically")
	flags.DurationVar(&s.NFTables.MinSyncPeriod.Duration, "iptables-min-sync-period", 0, "least time between two changes of the rules")
	flags.DurationVar(&s.ConfigSyncPeriod.Duration, "config-sync-period", s.ConfigSyncPeriod.Duration, "accepted for compatibility: watches need no refreshing")
	flags.Var((*gates.Flag)(&s.FeatureGates), "feature-gates", gates.Usage)
	o.addConntrack(flags)
	o.addUnused(flags)
}

func (o *options) addConntrack(flags *pflag.FlagSet) {
	t := &o.settings.Conntrack
	flags.Int32Var(t.MaxPerCore, "conntrack-max-per-core", *t.MaxPerCore, "greatest number of tracked connections for each processor; 0 leaves it as it is")
	flags.Int32Var(t.Min, "conntrack-min", *t.Min, "least number of tracked connections to allow")
	flags.DurationVar(&t.TCPEstablishedTimeout.Duration, "conntrack-tcp-timeout-established", t.TCPEstablishedTimeout.Duration, "idle timeout of TCP connections; 0 leaves it as it is")
	flags.DurationVar(&t.TCPCloseWaitTimeout.Duration, "conntrack-tcp-timeout-close-wait", t.TCPCloseWaitTimeout.Duration, "timeout of TCP connections in CLOSE_WAIT")
	flags.BoolVar(&t.TCPBeLiberal, "conntrack-tcp-be-liberal", false, "accept TCP packets outside the window")
	flags.DurationVar(&t.UDPTimeout.Duration, "conntrack-udp-timeout", 0, "idle timeout of unanswered UDP connections; 0 leaves it as it is")
	flags.DurationVar(&t.UDPStreamTimeout.Duration, "conntrack-udp-timeout-stream", 0, "idle timeout of answered UDP connections; 0 leaves it as it is")
	flags.Int32Var(o.settings.OOMScoreAdj, "oom-score-adj", *o.settings.OOMScoreAdj, "oom_score_adj of this process")
}

// addUnused adds flags of other modes.
func (o *options) addUnused(flags *pflag.FlagSet) {
	const no = "accepted for compatibility, without effect"
	for _, name := range []string{"ipvs-min-sync-period", "ipvs-sync-period", "ipvs-tcp-timeout", "ipvs-tcpfin-timeout", "ipvs-udp-timeout"} {
		flags.DurationVar(&o.unused.duration, name, 0, no)
	}
	for _, name := range []string{"ipvs-scheduler", "show-hidden-metrics-for-version", "proxy-port-range", "boot-id-file", "machine-id-file"} {
		flags.StringVar(&o.unused.text, name, "", no)
	}
	flags.StringSliceVar(&o.unused.list, "ipvs-exclude-cidrs", nil, no)
	flags.BoolVar(&o.unused.yes, "ipvs-strict-arp", false, no)
	flags.BoolVar(&o.unused.yes, "iptables-localhost-nodeports", true, no)
}

func (o *options) run(ctx context.Context) error {
	if err := o.finish(); err != nil {
		return err
	}
	switch {
	case o.writeTo != "":
		return o.write()
	case o.cleanup:
		return Cleanup()
	}
	parsed, err := parse(&o.settings)
	if err != nil {
		return daemon.UsageError("%v", err)
	}
	gates.Warn(o.settings.FeatureGates)
	if o.initOnly {
		return conntrack.Apply(parsed.conntrack)
	}
	set, err := o.connect()
	if err != nil {
		return err
	}
	if err := setOOMScore(*o.settings.OOMScoreAdj); err != nil {
		fmt.Fprintf(os.Stderr, "%s: oom_score_adj stays as it is: %v\n", component, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return Run(ctx, Config{Clients: set, Settings: o.settings, Metrics: registry, Gatherer: registry, Journal: journal.New(0)})
}

// finish makes one configuration of file and flags.
func (o *options) finish() error {
	if o.file == "" {
		o.settings.Mode, o.settings.DetectLocalMode = v1alpha1.ProxyMode(o.mode), v1alpha1.LocalMode(o.detectLocal)
		o.settings.NFTables.MasqueradeAll, *o.settings.NFTables.MasqueradeBit = o.masqueradeAll, o.masqueradeBit
		o.settings.IPTables.MasqueradeAll, *o.settings.IPTables.MasqueradeBit = o.masqueradeAll, o.masqueradeBit
		return nil
	}
	settings, err := ReadFile(o.file)
	if err != nil {
		return err
	}
	if o.settings.HostnameOverride != "" {
		settings.HostnameOverride = o.settings.HostnameOverride
	}
	SetDefaults(&settings)
	o.settings = settings
	return nil
}

func (o *options) write() error {
	data, err := yaml.Marshal(&o.settings)
	if err != nil {
		return err
	}
	return os.WriteFile(o.writeTo, data, 0o644)
}

func (o *options) connect() (*client.Set, error) {
	connection := &o.settings.ClientConnection
	config, err := clientcmd.BuildConfigFromFlags(o.master, connection.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q: %w", connection.Kubeconfig, err)
	}
	config = rest.AddUserAgent(config, daemon.UserAgent(component))
	config.QPS, config.Burst = connection.QPS, int(connection.Burst)
	return client.New(config)
}

// Cleanup removes the proxy's rules from this network namespace.
func Cleanup() error {
	kernel, err := nft.Open()
	if err != nil {
		return err
	}
	defer kernel.Close()
	return kernel.Remove()
}

// setOOMScore says how soon the kernel kills this process when memory is short. It is for a process that is only the proxy.
func setOOMScore(score int32) error {
	return os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(int(score))), 0o644)
}
