package etcd

import (
	"context"
	"flag"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/api/v3/version"
	etcdflags "go.etcd.io/etcd/pkg/v3/flags"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/septet-io/septet/daemon"
)

// Command is `septet etcd`: one member with upstream etcd's flags, environment variables (ETCD_DATA_DIR, …) and
// configuration file. Its log goes the project's way unless a flag about logs is given.
func Command() *cobra.Command {
	c := &command{config: embed.NewConfig(), own: flag.NewFlagSet("etcd", flag.ContinueOnError)}
	cmd := daemon.Component("etcd", "Run one member of etcd "+version.Version, c.addFlags, c.run)
	cmd.AddCommand(snapshotCommand())
	return cmd
}

type command struct {
	config *embed.Config
	// own are etcd's flags as it declares them; all are those of the command, which parses.
	own *flag.FlagSet
	all *pflag.FlagSet
	// Flags that etcd's library does not declare.
	file         string
	clusterState string
}

func (c *command) addFlags(flags *pflag.FlagSet) {
	c.config.AddFlags(c.own)
	flags.AddGoFlagSet(c.own)
	flags.StringVar(&c.file, "config-file", "", "configuration file; other flags and environment variables are ignored then")
	flags.StringVar(&c.clusterState, "initial-cluster-state", embed.ClusterStateFlagNew, `"new" for a cluster that begins, "existing" to join one`)
	c.all = flags
}

// logFlags are those that choose etcd's own way of logging.
var logFlags = []string{"logger", "log-outputs", "log-level", "log-format", "enable-log-rotation"}

func (c *command) run(ctx context.Context) error {
	config, err := c.configure()
	if err != nil {
		return err
	}
	log := newLogBridge()
	if !c.anyChanged(logFlags) && c.file == "" {
		config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log.logger())
	}
	server, err := start(ctx, config, log)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer server.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-server.Failed():
		return err
	}
}

// configure does with flags, environment and file what etcd's own main does.
func (c *command) configure() (*embed.Config, error) {
	if err := etcdflags.SetPflagsFromEnv(zap.NewNop(), "ETCD", c.all); err != nil {
		return nil, daemon.UsageError("%v", err)
	}
	if c.file != "" {
		config, err := embed.ConfigFromFile(c.file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.file, err)
		}
		return config, nil
	}
	config := c.config
	defaultCluster := config.InitialCluster
	c.readLists(config)
	if c.all.Changed("listen-client-urls") && !c.all.Changed("advertise-client-urls") {
		return nil, daemon.UsageError("--advertise-client-urls is required when --listen-client-urls is set explicitly")
	}
	config.ClusterState = c.clusterState
	c.all.Visit(func(f *pflag.Flag) { config.FlagsExplicitlySet[f.Name] = true })
	if err := c.gates(config); err != nil {
		return nil, err
	}
	if c.anyChanged([]string{"discovery", "discovery-srv", "discovery-srv-name", "discovery-endpoints"}) && !c.all.Changed("initial-cluster") {
		config.InitialCluster = ""
	}
	if _, err := config.UpdateDefaultClusterFromName(defaultCluster); err != nil && !c.all.Changed("initial-cluster") {
		return nil, err
	}
	if config.Dir == "" {
		config.Dir = config.Name + ".etcd"
	}
	c.hurry(config)
	return config, nil
}

// readLists takes over the flags whose values etcd's library does not bind.
func (c *command) readLists(config *embed.Config) {
	config.ListenPeerUrls = etcdflags.UniqueURLsFromFlag(c.own, "listen-peer-urls")
	config.AdvertisePeerUrls = etcdflags.UniqueURLsFromFlag(c.own, "initial-advertise-peer-urls")
	config.ListenClientUrls = etcdflags.UniqueURLsFromFlag(c.own, "listen-client-urls")
	config.ListenClientHttpUrls = etcdflags.UniqueURLsFromFlag(c.own, "listen-client-http-urls")
	config.AdvertiseClientUrls = etcdflags.UniqueURLsFromFlag(c.own, "advertise-client-urls")
	config.ListenMetricsUrls = etcdflags.UniqueURLsFromFlag(c.own, "listen-metrics-urls")
	config.DiscoveryCfg.Endpoints = etcdflags.UniqueStringsFromFlag(c.own, "discovery-endpoints")
	config.CORS = etcdflags.UniqueURLsMapFromFlag(c.own, "cors")
	config.HostWhitelist = etcdflags.UniqueStringsMapFromFlag(c.own, "host-whitelist")
	config.ClientTLSInfo.AllowedHostnames = etcdflags.StringsFromFlag(c.own, "client-cert-allowed-hostname")
	config.PeerTLSInfo.AllowedCNs = etcdflags.StringsFromFlag(c.own, "peer-cert-allowed-cn")
	config.PeerTLSInfo.AllowedHostnames = etcdflags.StringsFromFlag(c.own, "peer-cert-allowed-hostname")
	config.CipherSuites = etcdflags.StringsFromFlag(c.own, "cipher-suites")
	config.MaxConcurrentStreams = etcdflags.Uint32FromFlag(c.own, "max-concurrent-streams")
	config.LogOutputs = etcdflags.UniqueStringsFromFlag(c.own, "log-outputs")
	config.WarningUnaryRequestDuration = orElse(config.WarningUnaryRequestDuration, embed.DefaultWarningUnaryRequestDuration)
}

// gates applies --feature-gates and the older flags that became gates.
func (c *command) gates(config *embed.Config) error {
	flagValue := func(name string) *bool {
		if !c.all.Changed(name) {
			return nil
		}
		value := c.own.Lookup(name).Value.String() == "true"
		return &value
	}
	gates := c.own.Lookup(embed.ServerFeatureGateFlagName).Value.String()
	if err := embed.SetFeatureGatesFromExperimentalFlags(config.ServerFeatureGate, flagValue, gates); err != nil {
		return daemon.UsageError("%v", err)
	}
	return nil
}

// hurry: a member that is alone need not wait long for others before it elects itself.
func (c *command) hurry(config *embed.Config) {
	alone := config.InitialCluster == config.InitialClusterFromName(config.Name) && c.clusterState == embed.ClusterStateFlagNew
	if alone && !c.anyChanged([]string{"heartbeat-interval", "election-timeout", "initial-cluster"}) {
		config.ElectionMs = 5 * config.TickMs
	}
}

func (c *command) anyChanged(names []string) bool {
	for _, name := range names {
		if c.all.Changed(name) {
			return true
		}
	}
	return false
}
