package etcd

import (
	"context"
	"flag"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/api/v3/version"
	etcdflags "go.etcd.io/etcd/pkg/v3/flags"
	"go.uber.org/zap"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/etcd/member"
)

// Command is `septet etcd`: one member with upstream etcd's flags, environment variables (ETCD_DATA_DIR, …) and
// configuration file. Its log goes the project's way unless a flag about logs is given.
func Command() *cobra.Command {
	c := newCommand()
	cmd := daemon.Component("etcd", "Run one member of etcd "+version.Version, c.addFlags, c.run)
	cmd.AddCommand(snapshotCommand())
	return cmd
}

type command struct {
	settings *member.Settings
	// own are etcd's flags; all are those of the command, which parses.
	own  *flag.FlagSet
	all  *pflag.FlagSet
	file string
	// given says which flags, variables or keys of the file were set.
	given map[string]bool
}

func newCommand() *command {
	c := &command{settings: member.Defaults(), own: flag.NewFlagSet("etcd", flag.ContinueOnError), given: map[string]bool{}}
	c.settings.AddFlags(c.own)
	return c
}

func (c *command) addFlags(flags *pflag.FlagSet) {
	flags.AddGoFlagSet(c.own)
	flags.StringVar(&c.file, "config-file", "", "configuration file; other flags and environment variables are ignored then")
	c.all = flags
}

func (c *command) run(ctx context.Context) error {
	log := newLogBridge()
	settings, err := c.configure(log)
	if err != nil {
		return err
	}
	server, err := start(ctx, settings, log)
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
func (c *command) configure(log *logBridge) (*member.Settings, error) {
	if err := etcdflags.SetPflagsFromEnv(zap.NewNop(), "ETCD", c.all); err != nil {
		return nil, daemon.UsageError("%v", err)
	}
	c.all.Visit(func(f *pflag.Flag) { c.given[f.Name] = true })
	if c.file != "" {
		file := c.file
		*c = *newCommand()
		if err := c.read(file); err != nil {
			return nil, err
		}
	}
	if err := c.settings.Settle(c.own, c.wasGiven); err != nil {
		return nil, daemon.UsageError("%v", err)
	}
	c.hurry()
	if err := c.settings.Check(); err != nil {
		return nil, daemon.UsageError("%v", err)
	}
	if !c.anyGiven(member.LogFlags) {
		c.settings.Logger = log.logger()
	}
	return c.settings, nil
}

// hurry: a member that is alone need not wait long for others before it elects itself. Others may join it later, so it keeps to the shortest
// time that is safe with them.
func (c *command) hurry() {
	s := c.settings
	alone := s.InitialCluster == s.Itself() && s.ClusterState == member.ClusterNew
	if alone && !c.anyGiven([]string{"heartbeat-interval", "election-timeout", "initial-cluster"}) {
		s.Alone, s.ElectionMs = true, 5*s.TickMs
	}
}

func (c *command) read(file string) error {
	given, unknown, err := c.settings.ReadFile(file, c.own)
	if err != nil {
		return fmt.Errorf("configuration file %w", err)
	}
	for _, name := range given {
		c.given[name] = true
	}
	if len(unknown) > 0 {
		klog.InfoS("Keys of the configuration file have no effect", "file", file, "keys", unknown)
	}
	return nil
}

func (c *command) wasGiven(flag string) bool { return c.given[flag] }

func (c *command) anyGiven(names []string) bool {
	for _, name := range names {
		if c.given[name] {
			return true
		}
	}
	return false
}
