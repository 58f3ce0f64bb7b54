package cluster

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/septet-io/septet/daemon"
)

// ServerCommand is `septet server`.
func ServerCommand() *cobra.Command {
	o := &Options{}
	return daemon.Component("server", "Run a cluster: all seven components in one process, and this machine as a node", o.addServer, func(ctx context.Context) error {
		if o.Background {
			return o.detach(ctx)
		}
		return Server(ctx, *o, nil)
	})
}

// CheckCommand is `septet check`.
func CheckCommand() *cobra.Command {
	o := &Options{}
	cmd := daemon.Quiet(&cobra.Command{
		Use: "check", Short: "Say what this host has and lacks, and what to do about it", Args: cobra.NoArgs,
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if missing := PrintFindings(cmd.OutOrStdout(), o.Check()); missing > 0 {
			return fmt.Errorf("%d of the things that a node needs are missing", missing)
		}
		return nil
	}
	cmd.Flags().StringVar(&o.DataDir, "data-dir", DefaultDataDir, "directory of all state")
	cmd.Flags().IntVar(&o.Port, "port", 6443, "port that the API server will listen on")
	return cmd
}
